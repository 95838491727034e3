"""The event store's errors: OpenSearch's and Elasticsearch's, of a request and of a document in it; and SQLite's."""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, by_code, verdict

_WAIT, _SET_APART = ErrorClass.WAIT, ErrorClass.SET_APART

# By the type in the answer: most of what has a status below 500 is mended by somebody, with the same document.
RULES: Final = (
    Rule(
        (
            "mapper_parsing_exception",
            "document_parsing_exception",
            "strict_dynamic_mapping_exception",
            "parse_exception",
            "parsing_exception",
            "x_content_parse_exception",
            "json_parse_exception",
            "max_bytes_length_exceeded_exception",
        ),
        _SET_APART,
        "the document does not fit the index",
    ),
    Rule(("cluster_block_exception",), _WAIT, "the index or the cluster is blocked, as for a disk that is almost full"),
    Rule(("index_not_found_exception",), _WAIT, "there is no such index, and none may be created"),
    Rule(("index_closed_exception",), _WAIT, "the index is closed"),
    Rule(("security_exception",), _WAIT, "the server refuses the user, the password or the privilege"),
    Rule(
        ("es_rejected_execution_exception", "rejected_execution_exception", "circuit_breaking_exception"),
        _WAIT,
        "the server has too much to do",
    ),
    Rule(("validation_exception",), _WAIT, "the cluster has as many shards as it may have"),
    Rule(("illegal_argument_exception",), _WAIT, "an alias, a pipeline or a setting of the index is not right"),
    Rule(("unavailable_shards_exception", "no_shard_available_action_exception"), _WAIT, "a shard is away"),
)
TOO_LARGE: Final = Rule(
    ("413 of a request with one document",), _SET_APART, "the document is larger than the server takes"
)
IMMENSE: Final = Rule(
    ("illegal_argument_exception that names an immense term",), _SET_APART, "a word is longer than the index takes"
)
DEFAULT: Final = Rule(("any other",), _WAIT, "the event store refuses for the moment, or something else answers")

SQLITE_RULES: Final = (
    Rule(("SQLITE_FULL",), _WAIT, "the disk is full"),
    Rule(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"), _WAIT, "the file may only be read"),
    Rule(("SQLITE_IOERR", "SQLITE_CANTOPEN"), _WAIT, "the file cannot be read or written"),
    Rule(("SQLITE_BUSY", "SQLITE_LOCKED"), _WAIT, "somebody else holds the file"),
    Rule(("SQLITE_CORRUPT", "SQLITE_NOTADB"), _WAIT, "the file is damaged: put it aside, and start the monitor again"),
    Rule(
        ("SQLITE_TOOBIG", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_RANGE"),
        _SET_APART,
        "the event does not fit the table",
    ),
)
SQLITE_DEFAULT: Final = Rule(("any other",), _WAIT, "the file cannot be used for the moment")
SQLITE_VALUE: Final = Rule(
    ("a number or a text that SQLite cannot hold",), _SET_APART, "the event does not fit the table"
)

_TOO_LARGE_STATUS: Final = 413
_IMMENSE_TERM: Final = "immense term"
_BY_TYPE: Final = by_code(RULES)
_BY_SQLITE_NAME: Final = by_code(SQLITE_RULES)


def classify_event_store(status: int, error: Mapping[str, Any] | None) -> ErrorVerdict:
    """Return what to do about an answer that is no success, to a request or for one document of a bulk.

    `error` is what the answer has under that name, if it has an object there.
    """
    kind, cause, depth = _text(error, "type"), error, 0
    while depth < 2 and isinstance(cause := (cause or {}).get("caused_by"), Mapping):
        depth += 1
        if _IMMENSE_TERM in _text(cause, "reason") or _text(cause, "type") == "max_bytes_length_exceeded_exception":
            return verdict(IMMENSE, kind)
    if status == _TOO_LARGE_STATUS:
        return verdict(TOO_LARGE, status)
    if _IMMENSE_TERM in _text(error, "reason"):
        return verdict(IMMENSE, kind)
    rule = _BY_TYPE.get(kind, DEFAULT)
    if status >= 500 or status == 429:  # whatever the type says of the document
        rule = rule if rule.error_class is _WAIT else DEFAULT
    return verdict(rule, kind or f"HTTP status {status}")


def classify_sqlite(error: Exception) -> ErrorVerdict:
    """Return what to do about an error of SQLite, or of what is written to it."""
    if not isinstance(error, sqlite3.Error):
        return verdict(SQLITE_VALUE, type(error).__name__)
    if isinstance(error, sqlite3.DataError):
        return verdict(SQLITE_VALUE, type(error).__name__)
    name: str = getattr(error, "sqlite_errorname", "")
    primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_WRITE is one of SQLITE_IOERR
    return verdict(_BY_SQLITE_NAME.get(primary, SQLITE_DEFAULT), name or type(error).__name__)


def _text(error: Mapping[str, Any] | None, name: str) -> str:
    found = (error or {}).get(name)
    return found if isinstance(found, str) else ""
