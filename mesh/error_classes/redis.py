"""Redis's errors, by the word that an answer begins with: https://redis.io/docs/latest/develop/reference/protocol-spec/."""

import re
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the client's own, under its own name
    ExecAbortError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004 - likewise
    TryAgainError,
)

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, by_code, verdict

_WAIT, _SET_APART = ErrorClass.WAIT, ErrorClass.SET_APART

RULES: Final = (
    Rule(("BUSY", "UNKILLABLE"), _WAIT, "the server is busy with a script"),
    Rule(("CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN"), _WAIT, "part of the cluster, or the primary, is away"),
    Rule(("MOVED", "ASK", "CROSSSLOT"), _WAIT, "the server is part of a cluster: name one that is not"),
    Rule(("DENIED",), _WAIT, "the server takes no connections from other machines"),
    Rule(("EXECABORT", "NOSCRIPT"), _WAIT, "the server did not take the whole of a transaction"),
    Rule(("LOADING",), _WAIT, "the server is reading its data"),
    Rule(("MISCONF",), _WAIT, "the server cannot write its data to the disk"),
    Rule(
        ("NOAUTH", "WRONGPASS", "NOPERM", "ACL failure in script", "The user executing the script can't run this"),
        _WAIT,
        "the server refuses the user, the password or the privilege",
    ),
    Rule(("NOREPLICAS",), _WAIT, "not enough replicas follow the server"),
    Rule(("OOM",), _WAIT, "the server's memory is full (maxmemory)"),
    Rule(("READONLY",), _WAIT, "the server takes no writes: it is a replica"),
    Rule(("max number of clients reached",), _WAIT, "the server has too many connections"),
    Rule(("unknown command", "DB index is out of range"), _WAIT, "the server does not have what is asked of it"),
    Rule(("WRONGTYPE",), _SET_APART, "a key of the platform's holds a value of another type"),
)
AWAY: Final = Rule(("no word, from the client",), _WAIT, "the server does not answer, or the connection broke")
DEFAULT: Final = Rule(("any other",), _SET_APART, "the server refuses the command")

# The client takes the word off where it has a class for it; the narrower class stands before the wider one.
_WORD_OF_CLASS: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (AskError, "ASK"),
    (AuthenticationError, "NOAUTH"),
    (AuthorizationError, "NOPERM"),
    (BusyLoadingError, "LOADING"),
    (ClusterCrossSlotError, "CROSSSLOT"),
    (ClusterDownError, "CLUSTERDOWN"),
    (ExecAbortError, "EXECABORT"),
    (MasterDownError, "MASTERDOWN"),
    (MovedError, "MOVED"),
    (NoPermissionError, "NOPERM"),
    (NoScriptError, "NOSCRIPT"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (TryAgainError, "TRYAGAIN"),
)
_BY_CODE: Final = by_code(RULES)
# At the beginning, or behind the hyphen with which a script quotes the error of a command.
_WORD: Final = re.compile(rf"(?:^|[\s:]-)({'|'.join(sorted(_BY_CODE, key=len, reverse=True))})(?![A-Za-z])")
_PIPELINE: Final = "of pipeline caused error: "  # the client quotes the command before it, with its values


def classify_redis(error: RedisError) -> ErrorVerdict:
    """Return what to do about an error of the client's."""
    word = next((word for kind, word in _WORD_OF_CLASS if isinstance(error, kind)), None)
    if word is None and (found := _WORD.search(str(error).rpartition(_PIPELINE)[2])) is not None:
        word = found[1]
    if word is not None:
        return verdict(_BY_CODE[word], word)
    if isinstance(error, ConnectionError | TimeoutError):
        return verdict(AWAY, type(error).__name__)
    return verdict(DEFAULT, type(error).__name__)
