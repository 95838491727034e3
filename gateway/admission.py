"""Where every request is admitted, a command or a query: decode → complete → validate.

What comes out of here is what its proto says a request is. Completing is for commands alone: their callers may leave
out a key that the gateway assigns, and, with demo data on, everything.
"""

import hashlib
from typing import Any, Final

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.demo import DemoData, demo_fields, is_silent
from gateway.json_fields import named_fields
from gateway.validation import RequestRules
from mesh.catalog import Command
from mesh.errors import PolystreamError, Reason
from mesh.ids import derived_user_id, new_correlation_id, request_correlation_id

CALLER: Final = "anonymous"  # whose request IDs these are


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

    def admit(self, decoded: Any, json_fields: str | None, correlation_id: str) -> Message:
        """Return the request that `decode` gave, completed and valid.

        `json_fields` is what the edge tells of the JSON body that the request was made of, and None without one.
        `correlation_id` is the call's: the same ID completes a request in the same way.

        Raises PolystreamError: REQUEST_TOO_LARGE, MALFORMED_REQUEST, UNKNOWN_FIELD, INVALID_FIELD, EMPTY_COMMAND.
        """
        if isinstance(decoded, PolystreamError):
            raise decoded
        request: Message = decoded
        self._rules.refuse_unknown(request, json_fields)
        self._complete(request, json_fields, correlation_id)
        faults = self._rules.faults(request)
        if faults:
            raise PolystreamError(self._reason(request, json_fields), faults=faults)
        return request

    def _complete(self, request: Any, json_fields: str | None, correlation_id: str) -> None:
        """Fill what the caller may leave out: of a query, nothing."""

    def _reason(self, request: Message, json_fields: str | None) -> Reason:  # noqa: ARG002 - for commands
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

    def _complete(self, request: Any, json_fields: str | None, correlation_id: str) -> None:
        """Fill a command that says nothing with demo data, and assign a key where 0 asks for one."""
        if self._demo is not None and self._says_nothing(request, json_fields):
            # JSON tells a field that is named with an empty value from one that is not there.
            named = named_fields(json_fields)
            fields = {n: field for n, field in self._demo_fields.items() if not {n, field.json_name} & named}
            self._demo.fill(request, fields, correlation_id)
        if self.assigns_key and not getattr(request, self._key_field):
            setattr(request, self._key_field, derived_user_id(correlation_id))

    def _reason(self, request: Message, json_fields: str | None) -> Reason:
        # With demo data on, a command that says nothing has been filled, so what is wrong is what was said.
        says_nothing = self._demo is None and self._says_nothing(request, json_fields)
        return Reason.EMPTY_COMMAND if says_nothing else Reason.INVALID_FIELD

    def _says_nothing(self, request: Message, json_fields: str | None) -> bool:
        return bool(self._demo_fields) and is_silent(request, named_fields(json_fields))

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
