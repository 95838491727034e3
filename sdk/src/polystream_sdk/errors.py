"""Every failure of the SDK: one exception a code of `google.rpc.Code`, with the details that the platform sends.

try:
    user = await op.result(timeout_s=5)
except AlreadyExistsError as error:
    print(error.reason)             # EMAIL_ALREADY_EXISTS
except InvalidArgumentError as error:
    for violation in error.field_violations:
        print(violation.field, violation.description)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from betterproto2 import Message

from polystream_api.google import protobuf, rpc
from polystream_api.polystream.v1 import Operation


class Code(IntEnum):
    """The codes of `google.rpc.Code` that are errors."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request that is at fault."""

    field: str  # dotted path
    description: str
    rule: str  # the rule that it breaks, such as `string.min_len`; empty where there is none


class PolystreamError(Exception):
    """A call, or the operation of a command, failed."""

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_delay_s: float | None = None,
        operation: Operation | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened and what to do about it."""
        self.reason = reason
        """Why, in UPPER_SNAKE_CASE, to compare with; empty where the platform did not answer."""
        self.domain = domain
        """Who gave the reason: `polystream.dev`."""
        self.metadata = dict(metadata or {})
        """More about it, by name."""
        self.field_violations = field_violations
        """The fields at fault."""
        self.retry_delay_s = retry_delay_s
        """After how many seconds the same may succeed; None where it would fail again, or nobody knows."""
        self.operation = operation
        """The operation that failed; None where the call itself did."""
        self.request_id = ""
        """The `request_id` of the command that failed: sent again with it, the command has its effect once."""

    def __str__(self) -> str:
        fields = "".join(f"; {violation.field}: {violation.description}" for violation in self.field_violations)
        return f"{self.code.name}{f' {self.reason}' if self.reason else ''}: {self.message}{fields}"


class CancelledError(PolystreamError):
    """The call was cancelled by the other side."""

    code = Code.CANCELLED


class UnknownError(PolystreamError):
    """The other side failed and did not say how."""

    code = Code.UNKNOWN


class InvalidArgumentError(PolystreamError):
    """The request is not valid; see `field_violations`."""

    code = Code.INVALID_ARGUMENT


class InvalidFieldError(InvalidArgumentError, ValueError):
    """The program gave an argument that it cannot send: `field_violations` says which and what it must be.

    The SDK raises it before anything is sent, so nothing was done.
    """

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__(
            "an argument is not valid; nothing was sent", reason="INVALID_FIELD", field_violations=violations
        )


class DeadlineExceededError(PolystreamError, TimeoutError):
    """It took too long. A command may have been accepted all the same: send it again with the same `request_id`."""

    code = Code.DEADLINE_EXCEEDED


class NotFoundError(PolystreamError):
    """There is no such thing."""

    code = Code.NOT_FOUND


class AlreadyExistsError(PolystreamError):
    """There is one already."""

    code = Code.ALREADY_EXISTS


class PermissionDeniedError(PolystreamError):
    """The caller is known, and may not do this."""

    code = Code.PERMISSION_DENIED


class ResourceExhaustedError(PolystreamError):
    """Too much at once; try again later."""

    code = Code.RESOURCE_EXHAUSTED


class FailedPreconditionError(PolystreamError):
    """It is not in the state that this needs."""

    code = Code.FAILED_PRECONDITION


class AbortedError(PolystreamError):
    """Something else came between."""

    code = Code.ABORTED


class OutOfRangeError(PolystreamError):
    """It is past the end."""

    code = Code.OUT_OF_RANGE


class UnimplementedError(PolystreamError):
    """The platform does not do this."""

    code = Code.UNIMPLEMENTED


class InternalError(PolystreamError):
    """The platform failed unexpectedly."""

    code = Code.INTERNAL


class UnavailableError(PolystreamError):
    """The platform, or a part of it, does not answer. With an empty `reason`, nothing could be reached at all."""

    code = Code.UNAVAILABLE


class DataLossError(PolystreamError):
    """The data is lost or cannot be read."""

    code = Code.DATA_LOSS


class UnauthenticatedError(PolystreamError):
    """The caller is not known: the token is missing or not valid."""

    code = Code.UNAUTHENTICATED


_CLASSES: dict[int, type[PolystreamError]] = {error.code: error for error in PolystreamError.__subclasses__()}


def error_of(code: int, message: str, status: rpc.Status | None, operation: Operation | None = None) -> PolystreamError:
    """Return the exception for a code, with what the details of `status` say. Unknown codes are an UnknownError."""
    details = [unpacked for packed in status.details if (unpacked := _unpacked(packed))] if status else []
    info = next((detail for detail in details if isinstance(detail, rpc.ErrorInfo)), rpc.ErrorInfo())
    retry = next((detail.retry_delay for detail in details if isinstance(detail, rpc.RetryInfo)), None)
    violations = tuple(
        FieldViolation(violation.field, violation.description, violation.reason)
        for detail in details
        if isinstance(detail, rpc.BadRequest)
        for violation in detail.field_violations
    )
    return _CLASSES.get(code, UnknownError)(
        message,
        reason=info.reason,
        domain=info.domain,
        metadata=info.metadata,
        field_violations=violations,
        retry_delay_s=None if retry is None else retry.total_seconds(),
        operation=operation,
    )


def _unpacked(packed: protobuf.Any) -> Message | None:
    try:
        return packed.unpack()
    except (EOFError, OverflowError, TypeError, ValueError):  # a detail that this version does not know, or cannot read
        return None
