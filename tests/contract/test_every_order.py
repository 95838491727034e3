"""Writers and readers of different versions, in every order: what each command and receipt is taken for.

A trial command before and after each kind of change that the compatibility level allows.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import fastavro
import protovalidate
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from polystream.v1.users_pb2 import UpdateUserRequest

from gateway.validation import RequestRules
from mesh.codec import Decoder, Encoder, read_record
from mesh.errors import PolystreamError, Reason
from tests.contract.compiling import Compiled, compile_protos

_BEFORE: Final = """\
syntax = "proto3";
package trial.v1;
import "google/protobuf/timestamp.proto";
import "polystream/options/v1/options.proto";
message Told {
  option (polystream.options.v1.event) = {topic: "told"};
  message Part { string name = 1; State state = 2; /* part */ }
  enum State { STATE_UNSPECIFIED = 0; ON = 1; /* state */ }
  int64 id = 1;
  State state = 2;
  optional State maybe = 3;
  repeated State states = 4;
  Part part = 5;
  repeated Part parts = 6;
  map<string, Part> by_name = 7;
  map<string, State> states_by_name = 8;
  oneof target { string address = 9; Part place = 10; /* target */ }
  /* told */
}
"""


@dataclass(frozen=True)
class Change:
    """A change of the contract, and what records of the newer version say by it."""

    where: str
    what: str
    silent: Mapping[str, Any]  # fields of a record that the older version reads as it was meant
    said: Mapping[str, Any]  # fields of one that says what the older version does not know
    unknown: str  # the paths that it names then
    before: Mapping[str, Any] = field(default_factory=lambda: {"id": 3})  # of a record of the older version


_CHANGES: Final = {
    "text": Change("told", "string added = 30;", {"added": ""}, {"added": "new"}, "added"),
    "number": Change("told", "int32 added = 30;", {"added": 0}, {"added": 7}, "added"),
    "real": Change("told", "double added = 30;", {}, {"added": 0.5}, "added"),
    "flag": Change("told", "bool added = 30;", {}, {"added": True}, "added"),
    "bytes": Change("told", "bytes added = 30;", {}, {"added": b"\xff"}, "added"),
    # Set to nothing is said all the same.
    "optional": Change("told", "optional string added = 30;", {}, {"added": ""}, "added"),
    "optional number": Change("told", "optional int64 added = 30;", {}, {"added": 0}, "added"),
    "list": Change("told", "repeated string added = 30;", {"added": []}, {"added": [""]}, "added"),
    "map": Change("told", "map<string, int64> added = 30;", {}, {"added": {"x": 0}}, "added"),
    "message": Change("told", "Part added = 30;", {}, {"added": {}}, "added"),
    "time": Change("told", "google.protobuf.Timestamp added = 30;", {}, {"added": {"seconds": 0}}, "added"),
    "enum": Change("told", "State added = 30;", {}, {"added": "ON"}, "added"),
    "oneof": Change("target", "int64 number = 30;", {"address": "a"}, {"number": 0}, "number"),
    "new oneof": Change("told", "oneof more { string a = 30; Part b = 31; }", {}, {"b": {"name": "x"}}, "b"),
    "below": Change("part", "string added = 30;", {"part": {"name": "x"}}, {"part": {"added": "new"}}, "part.added"),
    "below a list": Change(
        "part", "string added = 30;", {"parts": [{}]}, {"parts": [{}, {"added": "n"}, {"added": "m"}]}, "parts.added"
    ),
    "below a map": Change(
        "part", "string added = 30;", {"by_name": {"k": {}}}, {"by_name": {"k": {"added": "n"}}}, "by_name.added"
    ),
    "below a oneof": Change("part", "string added = 30;", {"place": {}}, {"place": {"added": "n"}}, "place.added"),
    "symbol": Change("state", "OFF = 2;", {"state": "ON"}, {"state": "OFF"}, "state"),
    "symbol of an optional": Change("state", "OFF = 2;", {"maybe": "ON"}, {"maybe": "OFF"}, "maybe"),
    "symbol in a list": Change("state", "OFF = 2;", {"states": ["ON"]}, {"states": ["ON", "OFF"]}, "states"),
    "symbol in a map": Change(
        "state", "OFF = 2;", {"states_by_name": {"k": "ON"}}, {"states_by_name": {"k": "OFF"}}, "states_by_name"
    ),
    "symbol below": Change(
        "state", "OFF = 2;", {"parts": [{"state": "ON"}]}, {"parts": [{"state": "OFF"}]}, "parts.state"
    ),
    "two at once": Change(
        "told", "string a = 30; string b = 31;", {"a": "", "b": ""}, {"a": "new", "b": "new"}, "a, b"
    ),
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Return the older contract."""
    return _compile(tmp_path_factory.mktemp("before"), _BEFORE)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], Compiled]:
    """Return the newer contracts, by place and text of the change."""
    changes = {(change.where, change.what) for change in _CHANGES.values()}
    return {
        (where, what): _compile(tmp_path_factory.mktemp("after"), _BEFORE.replace(f"/* {where} */", what))
        for where, what in sorted(changes)
    }


def _compile(folder: Path, source: str) -> Compiled:
    done = compile_protos(folder, "avro_plugin", {"trial.proto": source})
    assert done.exit_status == 0, done.messages
    return done


@dataclass(frozen=True)
class _Registry:
    """A registry that has the writer's schema."""

    schema: Any

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema."""
        assert schema_id == 1
        return json.dumps(self.schema)


def _message(contract: Compiled, fields: Mapping[str, Any]) -> Message:
    return contract.message_class("trial.v1.Told")(**fields)


def _fields(message: Message) -> dict[str, Any]:
    """Return what a message says: each of them is of a class of its own, and they would not be equal."""
    said: dict[str, Any] = MessageToDict(message)
    return said


def _written(contract: Compiled, fields: Mapping[str, Any]) -> tuple[bytes, _Registry]:
    message, schema = _message(contract, fields), contract.json("trial.v1.Told.avsc")
    return Encoder(message.DESCRIPTOR, schema, 1).encode(message), _Registry(schema)  # type: ignore[arg-type]


def _decoder(contract: Compiled, registry: _Registry, *, takes_newer: bool) -> Decoder:
    reader_class = contract.message_class("trial.v1.Told")
    return Decoder(reader_class, contract.json("trial.v1.Told.avsc"), registry, takes_newer=takes_newer)


@pytest.mark.parametrize("name", _CHANGES)
class TestCommands:
    """Between a gateway and a lane."""

    def test_a_newer_lane_reads_an_older_command(
        self, before: Compiled, newer: Mapping[tuple[str, str], Compiled], name: str
    ) -> None:
        """What was not there is not set. This is the order to update in."""
        change = _CHANGES[name]
        after = newer[change.where, change.what]
        value, registry = _written(before, change.before)
        read = _decoder(after, registry, takes_newer=False).decode(value)
        assert _fields(read) == _fields(_message(after, change.before))

    def test_an_older_lane_reads_a_newer_command_that_says_nothing_new(
        self, before: Compiled, newer: Mapping[tuple[str, str], Compiled], name: str
    ) -> None:
        """It is what an older gateway would have sent."""
        change = _CHANGES[name]
        value, registry = _written(newer[change.where, change.what], {"id": 3, **change.silent})
        known = {key: said for key, said in change.silent.items() if key not in {"added", "a", "b"}}
        read = _decoder(before, registry, takes_newer=False).decode(value)
        assert _fields(read) == _fields(_message(before, {"id": 3, **known}))

    def test_an_older_lane_sets_a_newer_command_apart_that_says_more(
        self, before: Compiled, newer: Mapping[tuple[str, str], Compiled], name: str
    ) -> None:
        """It says what it does not know, and what to do; the updated lane applies the same record as it was meant."""
        change = _CHANGES[name]
        after = newer[change.where, change.what]
        value, registry = _written(after, {"id": 3, **change.said})
        decoder = _decoder(before, registry, takes_newer=False)
        for _ in range(2):  # also with a schema that it has seen
            with pytest.raises(PolystreamError) as caught:
                decoder.decode(value)
            assert caught.value.reason is Reason.LANE_OUTDATED
            assert caught.value.metadata == {"unknown": change.unknown}
            assert "update the lane" in caught.value.message
        read = _decoder(after, registry, takes_newer=False).decode(value)
        assert _fields(read) == _fields(_message(after, {"id": 3, **change.said}))

    def test_an_older_reader_of_receipts_takes_what_it_knows(
        self, before: Compiled, newer: Mapping[tuple[str, str], Compiled], name: str
    ) -> None:
        """Gateways and monitor show what they know: an answer that is there must not be lost for a part of it."""
        change = _CHANGES[name]
        value, registry = _written(newer[change.where, change.what], {"id": 3, **change.said})
        assert getattr(_decoder(before, registry, takes_newer=True).decode(value), "id") == 3  # noqa: B009


def test_the_same_contract_costs_nothing(before: Compiled) -> None:
    """No record is looked at twice, and none is set apart."""
    value, registry = _written(before, {"id": 3, "state": "ON", "parts": [{"name": "x"}]})
    decoder = _decoder(before, registry, takes_newer=False)
    decoder.decode(value)
    assert [writer.gap for writer in decoder._writer_schemas.values()] == [None]


def test_what_is_told_is_bounded_and_quotes_no_value(before: Compiled) -> None:
    """A writer's schema is anybody's: many fields, long names, keys of a map."""
    schema = before.json("trial.v1.Told.avsc")
    added = [{"name": f"f{number}_{'x' * 5000}", "type": "string", "default": ""} for number in range(50)]
    foreign = {**schema, "fields": [*schema["fields"], *added]}
    empty = read_record(*_written(before, {"id": 3}))
    record = {**empty, **{one["name"]: "a secret" for one in added}}
    with pytest.raises(PolystreamError) as caught:
        _decoder(before, _Registry(foreign), takes_newer=False).decode(b"\0\0\0\0\1" + _avro(foreign, record))
    assert caught.value.reason is Reason.LANE_OUTDATED
    assert len(caught.value.metadata["unknown"]) < 600
    assert "secret" not in caught.value.message + caught.value.metadata["unknown"]


def _avro(schema: Any, record: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


def test_an_older_gateway_refuses_what_a_newer_client_says() -> None:
    """A field of a number that it does not know, at any depth: nothing is sent, and nothing is lost in silence."""
    request = UpdateUserRequest.FromString(
        UpdateUserRequest(user_id=1, name="Ana").SerializeToString() + b"\xfa\x0f\x01x"
    )
    descriptor: Descriptor = UpdateUserRequest.DESCRIPTOR  # type: ignore[assignment] # upb's own class
    with pytest.raises(PolystreamError) as caught:
        RequestRules(descriptor, protovalidate.Validator()).refuse_unknown(request)
    assert caught.value.reason is Reason.UNKNOWN_FIELD
