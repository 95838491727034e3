"""Where every request is admitted, a command or a query: decode → complete → validate.

What comes out of here is what its proto says a request is. Completing is for commands alone: their callers may leave
out a key that the gateway assigns and, with demo data on, a POST to a path of the earlier demo everything.
"""

import hashlib
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.demo import DemoData, demo_fields, is_silent
from gateway.validation import RequestRules
from mesh.catalog import Command
from mesh.errors import PolystreamError, Reason
from mesh.ids import derived_user_id, new_correlation_id, request_correlation_id

CALLER: Final = "anonymous"  # whose request IDs these are


class Said(Protocol):
    """What a door tells of how a request was said, beside the request itself."""

    @property
    def named(self) -> AbstractSet[str]:
        """The request's own fields, by their names in the proto, that were given a value, even an empty one."""
        ...

    @property
    def may_fill(self) -> bool:
        """Whether demo data may fill the request if it says nothing."""
        ...


class Admission:
    """Admits the requests of one method. Compiled from the request's descriptor when the gateway starts."""

    def __init__(
        self, request_class: type[Message], validator: protovalidate.Validator, *, max_request_bytes: int
    ) -> None:
        self._parse = request_class.FromString
        self._type_name = request_class.DESCRIPTOR.full_name
        self._max_bytes = max_request_bytes
        self._rules = RequestRules(_descriptor(request_class), validator)

    def decode(self, data: bytes) -> Message | PolystreamError:
        """Return the request in these bytes; if they hold none, the error that `admit` will raise.

        The error is returned here because a gRPC server answers an exception in a deserializer with its own text.
        """
        if len(data) > self._max_bytes:
            return PolystreamError(
                Reason.REQUEST_TOO_LARGE,
                f"the request has {len(data)} bytes and {self._max_bytes} are allowed; send less",
                metadata={"max_request_bytes": str(self._max_bytes)},
            )
        try:
            return self._parse(data)
        except DecodeError:
            return PolystreamError(
                Reason.MALFORMED_REQUEST, f"the request's bytes are no {self._type_name}; check the encoding"
            )

    def identify(self, decoded: Any) -> tuple[str, bytes | None]:  # noqa: ARG002 - for commands
        """Return the correlation ID of a call, and the fingerprint of its request where the request gives that ID.

        To be asked before `admit`, which may fill the request in.
        """
        return new_correlation_id(), None

    def admit(self, decoded: Any, said: Said, correlation_id: str) -> Message:
        """Return the request that `decode` gave, completed and valid.

        `said` is what the door knows of how it was said: the gateway's `Caller` has it. `correlation_id` is the
        call's: the same ID completes a request in the same way.

        Raises PolystreamError: REQUEST_TOO_LARGE, MALFORMED_REQUEST, UNKNOWN_FIELD, INVALID_FIELD, EMPTY_COMMAND, or
        the error that a door gave in the request's place.
        """
        if isinstance(decoded, PolystreamError):
            raise decoded
        request: Message = decoded
        self._rules.refuse_unknown(request)
        self._complete(request, said, correlation_id)
        faults = self._rules.faults(request)
        if faults:
            raise PolystreamError(self._reason(request, said), faults=faults)
        return request

    def _complete(self, request: Any, said: Said, correlation_id: str) -> None:
        """Fill what the caller may leave out: of a query, nothing."""

    def _reason(self, request: Message, said: Said) -> Reason:  # noqa: ARG002 - for commands
        """Say why a request with faults is refused."""
        return Reason.INVALID_FIELD


class CommandAdmission(Admission):
    """Admits the requests of one command."""

    def __init__(
        self,
        command: Command,
        validator: protovalidate.Validator,
        *,
        max_request_bytes: int,
        demo: DemoData | None,
    ) -> None:
        super().__init__(command.request_class, validator, max_request_bytes=max_request_bytes)
        descriptor = _descriptor(command.request_class)
        self._command = command.name.encode()
        self._takes_request_id = "request_id" in descriptor.fields_by_name
        self._demo = demo
        self._demo_fields = demo_fields(descriptor)
        self._key_field = command.key_field
        self.assigns_key = self._may_be_zero(command)  # whether a key of 0 asks for one

    def identify(self, decoded: Any) -> tuple[str, bytes | None]:
        """Return the correlation ID of a call, the same for the same `request_id`, and its request's fingerprint."""
        if not self._takes_request_id or isinstance(decoded, PolystreamError) or not decoded.request_id:
            return new_correlation_id(), None
        return request_correlation_id(CALLER, decoded.request_id), self._fingerprint(decoded)

    def _fingerprint(self, request: Message) -> bytes:
        """Return what tells one request from another with the same `request_id`: 32 bytes."""
        digest = hashlib.sha256(self._command)
        digest.update(b"\0")
        digest.update(request.SerializeToString(deterministic=True))
        return digest.digest()

    def _complete(self, request: Any, said: Said, correlation_id: str) -> None:
        """Fill a command that says nothing where that is allowed, and assign a key where 0 asks for one."""
        if said.may_fill and self._demo is not None and self._says_nothing(request, said):
            self._demo.fill(request, self._demo_fields, correlation_id)
        if self.assigns_key and not getattr(request, self._key_field):
            setattr(request, self._key_field, derived_user_id(correlation_id))

    def _reason(self, request: Message, said: Said) -> Reason:
        # One that was filled says something by now.
        return Reason.EMPTY_COMMAND if self._says_nothing(request, said) else Reason.INVALID_FIELD

    def _says_nothing(self, request: Message, said: Said) -> bool:
        return bool(self._demo_fields) and is_silent(request, self._demo_fields, said.named)

    def _may_be_zero(self, command: Command) -> bool:
        key = _descriptor(command.request_class).fields_by_name[command.key_field]
        is_id = key.type == FieldDescriptor.TYPE_INT64 and key.name.endswith("_id")
        return is_id and all(fault.field != key.name for fault in self._rules.faults(command.request_class()))


class Admissions:
    """Compiles the admission of each method. One validator and one source of demo data serve them all."""

    def __init__(self, *, max_request_bytes: int, demo_data: bool) -> None:
        self._max_request_bytes = max_request_bytes
        self._validator = protovalidate.Validator()
        self._demo = DemoData() if demo_data else None

    def of_command(self, command: Command) -> CommandAdmission:
        """Compile a command's. Raises ValueError for a field with a demo kind that has no generator."""
        return CommandAdmission(command, self._validator, max_request_bytes=self._max_request_bytes, demo=self._demo)

    def of_query(self, request_class: type[Message]) -> Admission:
        """Compile a query's."""
        return Admission(request_class, self._validator, max_request_bytes=self._max_request_bytes)


def _descriptor(message_class: type[Message]) -> Descriptor:
    return message_class.DESCRIPTOR  # type: ignore[return-value] # upb's own class, same members
