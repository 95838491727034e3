"""Every binding of the API, and every field of its request, from each source and from two: all from the descriptors.

Each request is the bytes of HTTP that a client sends, and each answer those that it gets.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from urllib.parse import quote

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from gateway.calls import Caller
from gateway.rest.bindings import Binding
from gateway.rest.routes import Routes
from gateway.rest.templates import parse_template
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from tests.support.door_wire import DoorWire, WireAnswer
from tests.support.scripted_calls import ScriptedCalls

CATALOG = load_catalog()
ROUTES = Routes(CATALOG.services)
METHODS = {f"{m.containing_service.full_name}/{m.name}": m for service in CATALOG.services for m in service.methods}
BINDINGS = ROUTES.bindings

Json = object


@dataclass(frozen=True, slots=True)
class Sample:
    """A good value of a field, and bad ones, as text and as JSON."""

    text: str
    value: Json
    bad_texts: tuple[str, ...]
    bad_values: tuple[Json, ...]


INT32 = Sample("5", 5, ("", "x", "1.5", "2147483648", "-2147483649", "1 ", "true"), ("x", 1.5, 2**31, True, {}, []))
INT64 = Sample("5", "5", ("", "x", "1.5", str(2**63), str(-(2**63) - 1), "0x1"), ("x", 1.5, 2**63, True, {}, []))
NUMBER = Sample("1.5", 1.5, ("", "x", "1e400", "1,5"), ("x", True, {}, []))
TEXT = Sample("a/b c&d=é%", "a/b c&d=é%", (), (5, True, {}, []))
BOOL = Sample("true", True, ("", "1", "True", "yes"), (1, "true", {}, []))
TIME = Sample(
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00Z",
    ("", "x", "2026-01-31", "5", "10000-01-01T00:00:00Z", "0000-12-31T23:59:59Z"),
    (5, "x", {"seconds": 5}, [], True),
)
DURATION = Sample("1.5s", "1.5s", ("", "5", "x", "315576000001s"), (5, "x", {"seconds": 5}, [], True))
_TYPES = {
    FieldDescriptor.TYPE_INT32: INT32,
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_DOUBLE: NUMBER,
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BOOL: BOOL,
}
_MESSAGES = {"google.protobuf.Timestamp": TIME, "google.protobuf.Duration": DURATION}


def sample(field: FieldDescriptor) -> Sample:
    """Return values of a field's type. A type that the API begins to use needs some here."""
    if field.enum_type is not None:
        name = field.enum_type.values[1].name
        return Sample(name, name, ("", "NO_SUCH_VALUE", name.lower(), "1.5"), ("NO_SUCH_VALUE", True, {}, [], 1.5))
    return _TYPES[field.type] if field.message_type is None else _MESSAGES[field.message_type.full_name]


Leaf = tuple[FieldDescriptor, ...]


def leaves(message: Descriptor, above: Leaf = ()) -> Iterator[Leaf]:
    """Yield the paths to all that a query can set."""
    for field in message.fields:
        below = field.message_type
        if below is None or (below.full_name in _MESSAGES and not field.is_repeated):
            yield (*above, field)
        elif not field.is_repeated:
            yield from leaves(below, (*above, field))


def key(leaf: Leaf) -> str:
    """Return the dotted path in proto names."""
    return ".".join(field.name for field in leaf)


def spellings(leaf: Leaf) -> set[str]:
    """Return the dotted paths in which all names are the proto's, and all are JSON's."""
    return {key(leaf), ".".join(field.json_name for field in leaf)}


def body_of(path: str, value: Json) -> bytes:
    """Return a body with a value at a dotted path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return json.dumps(value).encode()


class Probe:
    """Sends requests to one binding, by the port."""

    def __init__(self, binding: Binding, calls: ScriptedCalls, wire: DoorWire) -> None:
        self.binding = binding
        self.method: MethodDescriptor = METHODS[binding.rpc]
        self.request: Descriptor = self.method.input_type
        template = parse_template(binding.template)
        self.in_path = [self.request.fields_by_name[variable.field_path[0]] for variable in template.variables]
        self.leaves = list(leaves(self.request))
        self.free = [leaf for leaf in self.leaves if leaf[0] not in self.in_path]
        self._calls = calls
        self._wire = wire

    def read(
        self, query: str = "", body: bytes = b"", header: str | None = None, path: dict[str, str] | None = None
    ) -> tuple[Message, frozenset[str]]:
        """Return the request that is called, by way of a path in which variables have good values or those of `path`.

        And which of its fields were named.
        """
        answer, decoded, caller = self._ask(query, body, header, path)
        assert answer.status == 200, answer.body
        assert answer.headers["x-correlation-id"]
        assert isinstance(decoded, GetMessageClass(self.request))
        return decoded, caller.named

    def refused(
        self, query: str = "", body: bytes = b"", header: str | None = None, path: dict[str, str] | None = None
    ) -> tuple[Reason, list[str]]:
        """Return the reason and the fields at fault of a request that is refused, in the one shape of errors."""
        answer, decoded, _ = self._ask(query, body, header, path)
        assert isinstance(decoded, PolystreamError)
        assert (answer.status, answer.json["code"]) == (400, code_pb2.INVALID_ARGUMENT)
        assert answer.headers["x-correlation-id"]
        assert answer.json["message"]
        assert all(answer.faults.values())
        return Reason[answer.reason], list(answer.faults)

    def _ask(
        self, query: str, body: bytes, header: str | None, path: dict[str, str] | None
    ) -> tuple[WireAnswer, object, Caller]:
        url = self.binding.template
        for field in self.in_path:
            text = (path or {}).get(field.name, sample(field).text)
            url = url.replace(f"{{{field.name}}}", quote(text, safe=""))
        headers = {"content-type": "application/json"} if body else {}
        headers |= {} if header is None else {"idempotency-key": header}
        self._calls.taken.clear()
        answer = self._wire.ask(self.binding.method, f"{url}?{query}" if query else url, headers, body)
        ((name, decoded, caller),) = self._calls.taken
        assert name == self.binding.rpc
        return answer, decoded, caller


@pytest.fixture(scope="module")
def calls() -> ScriptedCalls:
    """Return what keeps the requests that come through, and answers them."""
    return ScriptedCalls([])


@pytest.fixture(scope="module")
def wire(calls: ScriptedCalls) -> Iterator[DoorWire]:
    """Open the port."""
    port = DoorWire(calls, ROUTES)
    yield port
    port.close()


@pytest.fixture(params=BINDINGS, ids=lambda binding: f"{binding.method} {binding.template}")
def probe(request: pytest.FixtureRequest, calls: ScriptedCalls, wire: DoorWire) -> Probe:
    """Return what sends requests to each binding."""
    return Probe(request.param, calls, wire)


def value_of(message: Message, leaf: Leaf) -> object:
    """Return a field's value, however deep."""
    found: object = message
    for field in leaf:
        found = getattr(found, field.name)
    return found


def expected(probe: Probe, leaf: Leaf) -> Message:
    """Return the request with good values in its path and in one more field."""
    return probe.read(body=body_of(key(leaf), json_value(leaf)))[0]


def json_value(leaf: Leaf) -> Json:
    """Return a good value, in a list where the field is one."""
    value = sample(leaf[-1]).value
    return [value] if leaf[-1].is_repeated else value


def text(leaf: Leaf) -> str:
    """Return a good value as a query has it."""
    return quote(sample(leaf[-1]).text, safe="")


def test_the_path_sets_its_fields(probe: Probe) -> None:
    """They are all that a request without query and body names."""
    message, named = probe.read()
    assert named == {field.name for field in probe.in_path}
    assert {field.name for field, _ in message.ListFields()} == named
    for field in probe.in_path:
        assert str(getattr(message, field.name)) == sample(field).text


def test_the_query_sets_each_other_field(probe: Probe) -> None:
    """In either spelling, and it is named."""
    for leaf in probe.free:
        for name in spellings(leaf):
            message, named = probe.read(f"{name}={text(leaf)}")
            assert named == {leaf[0].name, *(field.name for field in probe.in_path)}
            value = value_of(message, leaf)
            assert value
            if probe.binding.takes_body:
                assert message == expected(probe, leaf), name


def test_the_body_sets_each_other_field(probe: Probe) -> None:
    """In either spelling, and it is named; a null is as nothing."""
    for leaf in probe.free if probe.binding.takes_body else ():
        for name in spellings(leaf):
            message, named = probe.read(body=body_of(name, json_value(leaf)))
            assert value_of(message, leaf)
            assert named == {leaf[0].name, *(field.name for field in probe.in_path)}
            if len(leaf) == 1:
                assert probe.read(body=body_of(name, None)) == probe.read()
                assert probe.read(f"{name}={text(leaf)}", body_of(name, None)) == probe.read(f"{name}={text(leaf)}")


def test_no_body_is_lost(probe: Probe) -> None:
    """A binding without one refuses it."""
    if not probe.binding.takes_body:
        assert probe.refused(body=b'{"name":"Ana"}') == (Reason.MALFORMED_REQUEST, [])
        assert probe.read(body=b" {} ") == probe.read()


def test_a_field_from_the_path_and_elsewhere(probe: Probe) -> None:
    """It is refused in either spelling, also where the other source agrees or is empty."""
    for field in probe.in_path:
        refusal = (Reason.INVALID_FIELD, [field.name])
        for name in spellings((field,)):
            for query in (f"{name}={text((field,))}", f"{name}=", name):
                assert probe.refused(query) == refusal
            for value in (sample(field).value, "" if sample(field) is TEXT else 0) if probe.binding.takes_body else ():
                assert probe.refused(body=body_of(name, value)) == refusal


def test_a_field_twice_in_the_query(probe: Probe) -> None:
    """A single value is refused in every pair of spellings, a list in two of them."""
    for leaf in probe.free:
        for one, other in product(sorted(spellings(leaf)), repeat=2):
            query = f"{one}={text(leaf)}&{other}={text(leaf)}"
            if leaf[-1].is_repeated and one == other:
                assert len(value_of(probe.read(query)[0], leaf)) == 2  # type: ignore[arg-type]
            else:
                assert probe.refused(query) == (Reason.INVALID_FIELD, [key(leaf)])


def test_a_field_from_query_and_body(probe: Probe) -> None:
    """It is refused in every pair of spellings; of a message, any part is the field."""
    for leaf in probe.free if probe.binding.takes_body else ():
        for in_query, in_body in product(spellings(leaf), repeat=2):
            refused = probe.refused(f"{in_query}={text(leaf)}", body_of(in_body, json_value(leaf)))
            assert refused == (Reason.INVALID_FIELD, [leaf[0].name])


def test_a_field_twice_in_the_body(probe: Probe) -> None:
    """It is refused in one spelling and in two."""
    for leaf in probe.free if probe.binding.takes_body else ():
        if len(leaf) == 1:
            given = json.dumps(json_value(leaf))
            for one, other in product(spellings(leaf), repeat=2):
                body = f'{{"{one}":{given},"{other}":{given}}}'.encode()
                assert probe.refused(body=body) == (Reason.INVALID_FIELD, [key(leaf)])


def test_a_value_of_the_wrong_type(probe: Probe) -> None:
    """By path, query and body: the field is named, with its whole path."""
    for field in probe.in_path:
        for segment in filter(None, sample(field).bad_texts):
            assert probe.refused(path={field.name: segment}) == (Reason.INVALID_FIELD, [field.name])
    for leaf in probe.free:
        name = f"{key(leaf)}[0]" if leaf[-1].is_repeated else key(leaf)
        for bad_text in sample(leaf[-1]).bad_texts:
            query = f"{key(leaf)}={quote(bad_text, safe='')}"
            assert probe.refused(query) == (Reason.INVALID_FIELD, [name]), bad_text
        for bad in sample(leaf[-1]).bad_values if probe.binding.takes_body else ():
            body = body_of(key(leaf), [bad] if leaf[-1].is_repeated else bad)
            assert probe.refused(body=body) == (Reason.INVALID_FIELD, [name]), bad


def test_an_unknown_sibling_of_each_field(probe: Probe) -> None:
    """It is named with its whole path: in a query with a value and without, and in a body."""
    for leaf in probe.leaves:
        parent = "".join(f"{field.name}." for field in leaf[:-1])
        for name in (f"{parent}bogus", f"{parent}{leaf[-1].name}_", f"{parent}{leaf[-1].name.upper()}"):
            for query in (name, f"{name}=", f"{name}=1"):
                assert probe.refused(query) == (Reason.UNKNOWN_FIELD, [name])
            if probe.binding.takes_body:
                assert probe.refused(body=body_of(name, 1)) == (Reason.UNKNOWN_FIELD, [name])
        if leaf[-1].message_type is None:
            assert probe.refused(f"{key(leaf)}.bogus=1") == (Reason.UNKNOWN_FIELD, [f"{key(leaf)}.bogus"])
        else:
            for below in ("seconds", "nanos", "bogus"):
                assert probe.refused(f"{key(leaf)}.{below}=5") == (Reason.INVALID_FIELD, [key(leaf)])


def test_what_a_query_cannot_hold(probe: Probe) -> None:
    """Maps, lists of messages, and messages as a whole."""
    for field in probe.request.fields:
        below = field.message_type
        if below is not None and below.full_name not in _MESSAGES:
            for query in (field.name, f"{field.name}=1", f"{field.json_name}={{}}"):
                assert probe.refused(query) == (Reason.INVALID_FIELD, [field.name])


def test_the_idempotency_key(probe: Probe) -> None:
    """It is the request ID of a command, once, and nothing to a query."""
    if probe.method.name not in CATALOG.commands:
        assert probe.read(header="a") == probe.read()
        return
    message, named = probe.read(header='"a"')
    assert message.request_id == "a"  # type: ignore[attr-defined]
    assert "request_id" in named
    for name in ("request_id", "requestId"):
        assert probe.refused(f"{name}=a", header="a") == (Reason.INVALID_FIELD, ["request_id"])
        if probe.binding.takes_body:
            assert probe.refused(body=body_of(name, "a"), header="a") == (Reason.INVALID_FIELD, ["request_id"])
            assert probe.read(body=body_of(name, None), header="a")[0] == message


def test_every_command_has_a_request_id() -> None:
    """Whatever changes something can be sent again without harm."""
    for command in CATALOG.commands.values():
        field = command.request_class.DESCRIPTOR.fields_by_name["request_id"]
        assert (field.type, field.is_repeated) == (FieldDescriptor.TYPE_STRING, False)


def test_every_rpc_has_a_path() -> None:
    """All of the API is there over REST, at a canonical path first."""
    bound = {binding.rpc for binding in BINDINGS}
    assert bound == set(METHODS)
    firsts = {binding.rpc: binding for binding in reversed(BINDINGS)}
    assert all(binding.template.startswith("/v1/") for binding in firsts.values())


def test_an_empty_answer_is_written(probe: Probe) -> None:
    """Every binding writes its response type as JSON."""
    response = GetMessageClass(probe.method.output_type)()
    written = json.loads(probe.binding.write(response))
    fields = probe.method.output_type.fields
    assert set(written) == {field.name for field in fields if field.is_repeated or not field.has_presence}
