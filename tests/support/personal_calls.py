"""Calls with the data of known people in every place that a caller can fill, through every door.

Each call is made whatever its answer: what matters is what the platform writes down about it.
"""

import gzip
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import grpc
import httpx
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh.catalog import Command, load_catalog
from mesh.personal_data import is_personal
from tests.support.personal_markers import KnownPerson

_GOLDEN: Final = Path(__file__).parents[1] / "contract" / "golden"
_TIMEOUT_S: Final = 60.0
_UNKNOWN_FIELD: Final = 1999
_JSON: Final = {"content-type": "application/json"}
_WEB: Final = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
COMMANDS: Final = tuple(load_catalog().commands.values())


@dataclass
class PersonalCalls:
    """Calls with somebody's data at a door, and the correlation IDs that they were answered with."""

    door_url: str
    grpc_address: str
    person: KnownPerson
    author: KnownPerson  # whose name is in texts that the contract does not call personal, such as titles
    user_id: str  # of a user that there is
    erased_user_id: str  # of another one, who is gone afterwards
    correlation_ids: list[str] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)  # the reasons that they were refused with

    def make_all(self) -> None:
        """Make every call, over REST, gRPC and gRPC-Web."""
        with (
            httpx.Client(base_url=self.door_url, timeout=_TIMEOUT_S) as rest,
            grpc.insecure_channel(self.grpc_address) as channel,
        ):
            for command in COMMANDS:
                self._over_rest(rest, command)
                self._over_grpc(rest, channel, command)
            self._around(rest)

    def texts(self) -> tuple[str, ...]:
        """Return the person's data as somebody may write it."""
        return self.person.name, self.person.email, self.person.dotted_cpf, self.person.cpf

    def _good(self, command: Command) -> dict[str, Any]:
        """Return a good example of a request, about the person."""
        example: dict[str, Any] = json.loads((_GOLDEN / f"{command.name}.json").read_text(encoding="utf-8"))["good"][-1]
        known = {"name": self.person.name, "email": self.person.email, "cpf": self.person.cpf}
        names = command.request_class.DESCRIPTOR.fields_by_name
        if command.erases_user:
            known["user_id"] = self.erased_user_id
        elif "user_id" in names and not command.creates:
            known["user_id"] = self.user_id
        return example | {name: value for name, value in known.items() if name in names and name in example}

    def _filled(self, command: Command) -> Iterator[dict[str, Any]]:
        """Yield the good request, and it with each field holding each of the person's texts, known or not."""
        good = self._good(command)
        yield good
        descriptor: Descriptor = command.request_class.DESCRIPTOR  # type: ignore[assignment] # upb's own class is one
        for one in descriptor.fields:
            for text in self._texts_of(one):
                yield good | {one.name: text}
                yield good | {one.name: [text]}
                yield good | {one.name: {text: text}}
        for text in self.texts():
            yield good | {text: text}
            yield good | {"unknown": text}

    def _texts_of(self, one: FieldDescriptor) -> tuple[str, ...]:
        """Return the texts for a field: digits alone are a good number, and names a good text."""
        name, email, dotted, digits = self.texts()
        if one.message_type is None and one.cpp_type != FieldDescriptor.CPPTYPE_STRING:
            return name, email, dotted
        return name if is_personal(one) else self.author.name, email, dotted, digits

    def _over_rest(self, rest: httpx.Client, command: Command) -> None:
        verb, path = _route(command)
        for request in self._filled(command):
            given = {name: str(value) for name, value in request.items()}
            filled = _with_path(path, given)
            if verb == "DELETE":
                self._note(rest.request(verb, filled, params=given))
            else:
                self._note(rest.request(verb, filled, json=request))
        good = _with_path(path, {name: str(value) for name, value in self._good(command).items()})
        for text in self.texts():
            wrong = text.encode()
            bodies: list[tuple[bytes, Mapping[str, str]]] = [
                (wrong, _JSON),
                (b'{"' + wrong + b'": "' + wrong, _JSON),
                (b'{"name": ' + wrong + b"}", _JSON),
                (b'{"name": "\xff' + wrong + b'"}', _JSON),
                (json.dumps({"name": text * 20_000}).encode(), _JSON),
                (json.dumps({"name": text}).encode(), {"content-type": f"text/{text.encode().hex()}"}),
                (wrong, {**_JSON, "content-encoding": "gzip"}),
                (wrong, {**_JSON, "content-encoding": quote(text)}),
                (b"{}", {**_JSON, "accept": f"text/{quote(text, safe='')}"}),
                (gzip.compress(wrong), {**_JSON, "content-encoding": "gzip"}),
                (json.dumps({"name": text, "nested": {"deeper": [text] * 200}}).encode(), _JSON),
            ]
            for body, headers in bodies:
                self._note(rest.request(verb if verb != "DELETE" else "POST", good, content=body, headers=headers))
            self._note(rest.request(verb, good, params={text: text, "user_id": text}))

    def _over_grpc(self, rest: httpx.Client, channel: grpc.Channel, command: Command) -> None:
        call: Any = channel.unary_unary(f"/{command.service}/{command.name}")
        for request in self._filled(command):
            try:
                message = json_format.ParseDict(request, command.request_class())
            except json_format.ParseError:
                continue
            self._send_grpc(call, message.SerializeToString())
            self._send_web(rest, command, message.SerializeToString())
        for text in self.texts():
            wrong = text.encode()
            unknown = _varint(_UNKNOWN_FIELD << 3 | 2) + _varint(len(wrong)) + wrong
            for content in (wrong, unknown, unknown * 3000):
                self._send_grpc(call, content)
                self._send_web(rest, command, content)
            hidden = {"x-name-bin": wrong, "x-name": quote(text), "x-request-id": quote(text)}
            self._send_grpc(call, b"", hidden)
        self._send_grpc(channel.unary_unary(f"/{command.service}/{quote(self.person.email)}"), b"")

    def _around(self, rest: httpx.Client) -> None:
        """Put the texts where a proxy, a browser or a program puts something about its user."""
        for text in self.texts():
            for name in ("user-agent", "referer", "from", "cookie", "x-request-id", "x-user"):
                self._note(rest.get("/v1/users/1234", headers={name.encode(): text.encode()}))
        for text in map(quote, self.texts()):
            for name in (
                *("user-agent", "x-request-id", "x-correlation-id", "correlation-id", "request-id", "referer"),
                *("origin", "host", "cookie", "authorization", "accept", "accept-language", "accept-encoding"),
                *("x-forwarded-for", "forwarded", "from", "tracestate", "baggage", "traceparent", "idempotency-key"),
                *("grpc-timeout", "te", "via", "x-user", "range", "if-match", "x-http-method-override"),
            ):
                value = f"vendor={text}" if name == "tracestate" else text
                traced = {"traceparent": f"00-{'4b' * 16}-{'00f0' * 4}-01"} if name == "tracestate" else {}
                self._note(rest.post("/v1/users/1234/payments", json=_PAYMENT, headers={**traced, name: value}))
            for path in (f"/{text}", f"/v1/users/{text}", f"/v1/{text}/users", f"/status/{text}", f"/docs/{text}"):
                for verb in ("GET", "POST", "PUT", "BREW"):
                    self._note(rest.request(verb, path))
            for name in ("page_token", "filter", "order_by", "page_size", "state", "user_id", "command"):
                for path in ("/v1/users", "/v1/operations", "/v1/events", "/v1/spans", "/v1/users/1234/payments"):
                    self._note(rest.get(path, params={name: text}))
            if not text.isdigit():  # those are a user's ID
                self._note(rest.post(f"/usuarios/{text}/pagamento"))
                self._note(rest.post("/historico-visualizacao", params={"user_id": text, "conteudo_id": text}))

    def _send_grpc(self, call: Any, content: bytes, metadata: Mapping[str, Any] | None = None) -> None:
        answered: Any  # a call, which an error is too
        try:
            _, answered = call.with_call(content, timeout=_TIMEOUT_S, metadata=[*(metadata or {}).items()])
        except grpc.RpcError as error:
            answered = error
        for name, value in answered.initial_metadata() or ():
            if name == "x-correlation-id":
                self.correlation_ids.append(str(value))

    def _send_web(self, rest: httpx.Client, command: Command, content: bytes) -> None:
        frame = b"\0" + struct.pack(">I", len(content)) + content
        self._note(rest.post(f"/{command.service}/{command.name}", content=frame, headers=_WEB))

    def _note(self, response: httpx.Response) -> None:
        if correlation_id := response.headers.get("x-correlation-id"):
            self.correlation_ids.append(correlation_id)
        if response.is_error and response.headers.get("content-type", "").startswith("application/json"):
            for detail in response.json().get("details", []):
                self.errors |= {detail["reason"]} if "reason" in detail else set()


_PAYMENT: Final = {"amount": {"currency_code": "BRL", "units": "5"}, "method": "PIX"}


def _route(command: Command) -> tuple[str, str]:
    """Return the verb and the path of a command's binding."""
    service = next(each for each in load_catalog().services if each.full_name == command.service)
    rule: Any = service.methods_by_name[command.name].GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return verb.upper(), getattr(rule, verb)


def _with_path(path: str, values: Mapping[str, str]) -> str:
    """Fill a template's variables, and take out of the values what the path has."""
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
