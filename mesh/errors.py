"""Every error of the platform: one row each, the `google.rpc.Status` made of it, and the way back."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mesh.error_classes.classes import ErrorClass

DOMAIN = "polystream.dev"
MAX_FAULTS = 50  # fields at fault that one answer names


@dataclass(frozen=True, slots=True)
class Row:
    """What is the same for every error of one reason."""

    code: int  # google.rpc.Code
    error_class: ErrorClass  # what a lane does with a command that meets the error
    message: str  # what happened and what to do about it, without personal data
    retry_delay_s: float | None = None  # after which the same request may succeed, in seconds; None if it would not


_R = ErrorClass.REFUSE
_INVALID = code_pb2.INVALID_ARGUMENT
_MISSING = code_pb2.NOT_FOUND
_EXISTS = code_pb2.ALREADY_EXISTS
_PRECONDITION = code_pb2.FAILED_PRECONDITION
_UNAVAILABLE = code_pb2.UNAVAILABLE


class Reason(Enum):
    """Why something failed, in the words of `ErrorInfo.reason`."""

    INVALID_FIELD = Row(_INVALID, _R, "a field of the request is not valid; see the field violations")
    UNKNOWN_FIELD = Row(_INVALID, _R, "the request has a field that does not exist; see the field violations")
    EMPTY_COMMAND = Row(_INVALID, _R, "the command says nothing; set its fields")
    INVALID_PAGE_TOKEN = Row(_INVALID, _R, "page_token is not one of this list; start again without it")
    MALFORMED_REQUEST = Row(_INVALID, _R, "the request could not be read; encode it as its message type asks")
    REQUEST_TOO_LARGE = Row(_INVALID, _R, "the request is too large; send less")
    HEADERS_TOO_LARGE = Row(_INVALID, _R, "the request's target or headers are too large; send less")
    UNSUPPORTED_CONTENT_TYPE = Row(
        _INVALID,
        _R,
        "the body's content type is not supported; send JSON with the header content-type: application/json",
    )
    UNSUPPORTED_ENCODING = Row(_INVALID, _R, "the body's content encoding is not supported; send it plain or as gzip")
    NOT_ACCEPTABLE = Row(
        _INVALID, _R, "no form of the answer fits the header accept; leave it out, or name application/json in it"
    )
    FOREIGN_ORIGIN = Row(
        code_pb2.PERMISSION_DENIED,
        _R,
        "a page of this origin may not do this; name the origin in GATEWAY_ALLOWED_ORIGINS",
    )
    FOREIGN_HOST = Row(
        code_pb2.PERMISSION_DENIED,
        _R,
        "the gateway is not known by the name in the header host; use localhost, or name it in GATEWAY_ALLOWED_HOSTS",
    )
    REQUEST_ID_REUSED = Row(_EXISTS, _R, "request_id was used with another request; use a new one")
    UNKNOWN_PATH = Row(_MISSING, _R, "there is no such path; /docs lists all of them")
    METHOD_NOT_ALLOWED = Row(
        code_pb2.UNIMPLEMENTED, _R, "the path does not take this HTTP method; see the header allow"
    )

    OPERATION_NOT_FOUND = Row(_MISSING, _R, "there is no operation with this correlation ID; check it")
    USER_NOT_FOUND = Row(_MISSING, _R, "there is no such user; create it first with CreateUser")
    SUBSCRIPTION_NOT_FOUND = Row(_MISSING, _R, "the user has no such subscription; list them with ListSubscriptions")
    PAYMENT_NOT_FOUND = Row(_MISSING, _R, "the user has no such payment; list them with ListPayments")
    PREFERENCES_NOT_FOUND = Row(_MISSING, _R, "the user has set no preferences; set them with UpdatePreferences")
    VIEW_NOT_FOUND = Row(_MISSING, _R, "the user has no such view; list them with ListViews")
    RECOMMENDATIONS_NOT_FOUND = Row(
        _MISSING, _R, "the user has no recommendations; make them with GenerateRecommendations"
    )
    CONTENT_NOT_FOUND = Row(_MISSING, _R, "the content is not in the cache; put it there with CacheContent")
    SESSION_NOT_FOUND = Row(_MISSING, _R, "there is no such session, or it has ended; open one with CreateSession")

    USER_ALREADY_EXISTS = Row(_EXISTS, _R, "there is a user with this user_id; use another, or leave it out")
    EMAIL_ALREADY_EXISTS = Row(_EXISTS, _R, "there is a user with this e-mail address; use another")
    CPF_ALREADY_EXISTS = Row(_EXISTS, _R, "there is a user with this CPF; use that user")
    SUBSCRIPTION_NOT_ACTIVE = Row(_PRECONDITION, _R, "the subscription has ended; there is nothing to cancel")
    PAYMENT_NOT_APPROVED = Row(_PRECONDITION, _R, "the payment has been taken back; there is nothing to cancel")
    USER_UNVERIFIED = Row(
        _UNAVAILABLE, _R, "whether the user exists could not be told in time; send the command again", 5.0
    )

    TOO_MANY_WAIT = Row(
        code_pb2.RESOURCE_EXHAUSTED,
        _R,
        "too many commands with this key wait behind one that was given up; send it again once that is redriven",
        60.0,
    )
    TOO_MANY_PARKED = Row(
        _UNAVAILABLE,
        ErrorClass.WAIT,
        "the lane has given up as many commands as it may: mend the last one's cause, or raise LANE_MAX_PARKED_KEYS",
        1.0,
    )

    KAFKA_UNAVAILABLE = Row(
        _UNAVAILABLE, ErrorClass.WAIT, "Kafka did not take the command; nothing was done, send it again", 1.0
    )
    REFUSED_BY_KAFKA = Row(
        _PRECONDITION, _R, "Kafka does not take the command's record, by its size or a rule of the topic; send less"
    )
    REGISTRY_UNAVAILABLE = Row(_UNAVAILABLE, ErrorClass.WAIT, "the schema registry does not answer; try again", 1.0)
    STORE_UNAVAILABLE = Row(_UNAVAILABLE, ErrorClass.WAIT, "the store does not answer; try again", 1.0)
    EVENT_LOG_UNAVAILABLE = Row(_UNAVAILABLE, ErrorClass.WAIT, "the event log does not answer; try again", 1.0)
    GATEWAY_DRAINING = Row(_UNAVAILABLE, ErrorClass.WAIT, "the gateway is stopping; send the command again", 0.5)
    TOO_MANY_COMMANDS = Row(
        code_pb2.RESOURCE_EXHAUSTED, ErrorClass.WAIT, "too many commands wait for Kafka; send it again later", 0.2
    )
    TOO_MANY_STREAMS = Row(
        code_pb2.RESOURCE_EXHAUSTED,
        _R,
        "too many streams are open or calls waiting; end some, or wait for less",
        1.0,
    )
    TOO_MANY_REQUESTS = Row(
        code_pb2.RESOURCE_EXHAUSTED, _R, "the gateway has too many requests under way; send it again later", 1.0
    )
    TOO_MANY_CONNECTIONS = Row(
        _UNAVAILABLE, _R, "the gateway has too many connections; close some, or connect again later", 1.0
    )
    REQUEST_TIMEOUT = Row(
        code_pb2.DEADLINE_EXCEEDED, _R, "the request did not arrive in time; nothing was done, send it again"
    )
    DEADLINE_EXCEEDED = Row(
        code_pb2.DEADLINE_EXCEEDED, ErrorClass.WAIT, "the deadline passed; ask for the operation before sending again"
    )
    UNIMPLEMENTED = Row(code_pb2.UNIMPLEMENTED, _R, "this is not supported")

    DEAD_LETTER_NOT_FOUND = Row(_MISSING, _R, "there is no such dead letter; list them with ListDeadLetters")
    LANES_BEHIND = Row(
        _PRECONDITION, _R, "a lane has commands to apply that may explain a difference; try again once it has caught up"
    )
    ADMIN_BUSY = Row(code_pb2.ABORTED, _R, "another redrive, discard or repair is under way; wait until it has ended")
    ADMIN_UNAVAILABLE = Row(
        _UNAVAILABLE, _R, "the processor's admin service cannot be reached; see the monitor's log", 5.0
    )
    NOT_KEPT = Row(_UNAVAILABLE, _R, "the monitor cannot write it down, so nothing was done; see its disk", 5.0)

    UNDECODABLE = Row(
        code_pb2.DATA_LOSS, ErrorClass.SET_APART, "the record could not be decoded; it is in the dead-letter topic"
    )
    UNKNOWN_COMMAND = Row(
        code_pb2.UNIMPLEMENTED, ErrorClass.SET_APART, "no handler knows the command; it is in the dead-letter topic"
    )
    LANE_OUTDATED = Row(
        code_pb2.UNIMPLEMENTED,
        ErrorClass.SET_APART,
        "the lane is older than the command; it is in the dead-letter topic: update the lane, then redrive it",
    )
    HANDLER_FAILED = Row(
        code_pb2.INTERNAL, ErrorClass.SET_APART, "the command failed unexpectedly; it is in the dead-letter topic"
    )
    INTERNAL = Row(code_pb2.INTERNAL, ErrorClass.SET_APART, "an unexpected error; look in the logs by correlation ID")


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A field at fault: its dotted path, what is wrong with it, and the rule it breaks."""

    field: str
    description: str
    rule: str = ""


class PolystreamError(Exception):
    """An error that reaches a client, or decides what a lane does, as its reason says.

    `message`, `faults`, `metadata` and `retry_delay_s` (in seconds) say more than the reason's row, or say it more
    exactly. None of them may hold personal data: clients, logs and events get them as they are.
    """

    def __init__(
        self,
        reason: Reason,
        message: str = "",
        *,
        faults: Sequence[FieldFault] = (),
        metadata: Mapping[str, str] | None = None,
        retry_delay_s: float | None = None,
    ) -> None:
        super().__init__(message or reason.value.message)
        self.reason = reason
        self.faults = tuple(faults)
        self.metadata = dict(metadata or {})
        self.retry_delay_s = reason.value.retry_delay_s if retry_delay_s is None else retry_delay_s

    @classmethod
    def from_status(cls, status: status_pb2.Status, *, unknown: Reason) -> Self:
        """Return the error that `to_status` made a status of. `unknown` stands for a reason outside of the table."""
        details = read_details(status)
        return cls(
            Reason.__members__.get(details.reason, unknown),
            status.message,
            faults=details.faults,
            metadata=details.metadata,
            retry_delay_s=details.retry_delay_s,
        )

    @property
    def message(self) -> str:
        """What happened and what to do about it."""
        return str(self.args[0])

    def to_status(self) -> status_pb2.Status:
        """Return the error as clients get it (AIP-193): ErrorInfo always, BadRequest and RetryInfo where they apply."""
        return build_status(
            self.reason.value.code,
            self.reason.name,
            self.message,
            faults=self.faults,
            metadata=self.metadata,
            retry_delay_s=self.retry_delay_s,
        )


def not_found(reason: Reason, field: str) -> PolystreamError:
    """Return the error of a request whose `field` names nothing that there is; `reason` says what is missing."""
    return PolystreamError(reason, faults=[FieldFault(field, reason.value.message)])


def build_status(
    code: int,
    reason: str,
    message: str,
    *,
    faults: Sequence[FieldFault] = (),
    metadata: Mapping[str, str] | None = None,
    retry_delay_s: float | None = None,
) -> status_pb2.Status:
    """Build a `google.rpc.Status` with its details in a fixed order: ErrorInfo, BadRequest, RetryInfo.

    `code` is one of `google.rpc.Code`, `reason` goes to ErrorInfo (in capitals, as AIP-193 has it), and
    `retry_delay_s`, in seconds, to RetryInfo.
    """
    details: list[any_pb2.Any] = [
        _packed(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata or {}))
    ]
    if faults:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=f.field, description=f.description, reason=f.rule)
            for f in faults
        ]
        details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
    if retry_delay_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMicroseconds(round(retry_delay_s * 1e6))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=code, message=message, details=details)


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What the details of a `google.rpc.Status` say. Empty where they say nothing."""

    reason: str = ""
    faults: tuple[FieldFault, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_delay_s: float | None = None


def read_details(status: status_pb2.Status) -> ErrorDetails:
    """Return what `build_status` packed into a status. What is of another type, or cannot be read, is left out."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        with suppress(DecodeError):
            any(detail.Unpack(known) for known in (info, bad_request, retry))
    return ErrorDetails(
        reason=info.reason,
        faults=tuple(FieldFault(v.field, v.description, v.reason) for v in bad_request.field_violations),
        metadata=dict(info.metadata),
        retry_delay_s=retry.retry_delay.ToMicroseconds() / 1e6 if retry.HasField("retry_delay") else None,
    )


def rebuild_status(status: status_pb2.Status) -> status_pb2.Status:
    """Return a status in the form of `build_status`. One that was read from JSON has its metadata in any order."""
    details = read_details(status)
    return build_status(
        status.code,
        details.reason,
        status.message,
        faults=details.faults,
        metadata=details.metadata,
        retry_delay_s=details.retry_delay_s,
    )


def _packed(
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail, deterministic=True)  # the same error is the same bytes: operations are compared by them
    return packed
