"""MongoDB's errors, by code and by label: https://www.mongodb.com/docs/manual/reference/error-codes/."""

from collections.abc import Iterator
from typing import Any, Final

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, by_code, verdict

_WAIT, _SET_APART = ErrorClass.WAIT, ErrorClass.SET_APART

RULES: Final = (
    Rule(("1", "8"), _WAIT, "the server has found a fault of its own"),  # InternalError, UnknownError
    Rule(("2", "9", "14"), _SET_APART, "a value is not of the form that is needed"),
    Rule(("6", "7", "89", "9001"), _WAIT, "the server, or another of its set, cannot be reached"),
    # Unauthorized, UserNotFound, AuthenticationFailed, RoleNotFound, Atlas's own
    Rule(("13", "11", "18", "31", "8000"), _WAIT, "the server refuses the user, the password or the privilege"),
    Rule(("24", "46"), _WAIT, "a lock is held by somebody else for too long"),
    Rule(("43", "237", "175", "11601"), _WAIT, "the server ended what it was reading"),
    Rule(("50", "202", "262", "290"), _WAIT, "the server took too long"),
    Rule(("59", "115", "20"), _WAIT, "the server does not know, or does not allow, what is asked of it"),
    Rule(("64", "100"), _WAIT, "not enough of the set's servers have the write"),
    Rule(("91", "11600"), _WAIT, "the server is stopping"),
    Rule(("112", "251"), _WAIT, "another write was in the way"),  # WriteConflict, NoSuchTransaction
    Rule(("121",), _SET_APART, "a validator of the collection's refuses the document"),
    Rule(
        ("133", "134", "189", "10058", "10107", "11602", "13435", "13436"),
        _WAIT,
        "the set has no primary, or a new one",
    ),
    Rule(("146",), _WAIT, "the server's memory is full"),
    Rule(("14031",), _WAIT, "the server's disk is full"),
    Rule(("11000",), _SET_APART, "a value is taken that must be unique"),
    Rule(("10334", "17280"), _SET_APART, "the document, or a key of it, is too large"),
)
LABELS: Final = Rule(
    ("RetryableWriteError", "TransientTransactionError", "RetryableError", "SystemOverloadedError"),
    _WAIT,
    "the server says that the same may succeed later",
)
AWAY: Final = Rule(("no code, from the client",), _WAIT, "the server does not answer, or the connection broke")
UNFIT: Final = Rule(("no code, from an engine's file system",), _WAIT, "the server cannot read or write its files")
DEFAULT: Final = Rule(("any other",), _SET_APART, "the server refuses the command")

_BY_CODE: Final = by_code(RULES)
# An engine may say this under any code: the disk, not the document, is at fault.
_FILE_SYSTEM_WORDS: Final = ("No space left", "Read-only file system", "Input/output error")


def classify_mongodb(error: PyMongoError) -> ErrorVerdict:
    """Return what to do about an error of pymongo's: of a bulk write, about the worst of its errors.

    A bulk of which anything is to be waited for is repeated as a whole, so its writes have to be repeatable.
    """
    if isinstance(error, BulkWriteError):
        verdicts = [_classify_failure(failure) for failure in _failures(dict(error.details))]
        return next((found for found in verdicts if found.waits), verdicts[0] if verdicts else verdict(DEFAULT, None))
    label = next((label for label in LABELS.codes if error.has_error_label(label)), None)
    if isinstance(error, OperationFailure) and error.code is not None:
        found = _classify_failure({"code": error.code, "errmsg": str(error)})
        return verdict(LABELS, label) if label is not None and not found.waits else found
    if label is not None:
        return verdict(LABELS, label)
    if isinstance(error, ConnectionFailure | NotPrimaryError | ExecutionTimeout | WTimeoutError):
        return verdict(AWAY, type(error).__name__)
    return verdict(DEFAULT, type(error).__name__)


def _classify_failure(failure: dict[str, Any]) -> ErrorVerdict:
    code = str(failure.get("code", ""))
    rule = _BY_CODE.get(code, DEFAULT)
    if rule.error_class is not _WAIT and any(words in str(failure.get("errmsg", "")) for words in _FILE_SYSTEM_WORDS):
        rule = UNFIT
    return verdict(rule, code)


def _failures(details: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for failure in details.get("writeConcernErrors", ()):
        yield {**failure, "code": failure.get("code") if str(failure.get("code")) in _BY_CODE else 64}
    yield from details.get("writeErrors", ())
