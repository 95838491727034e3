"""Schemas of a changed proto: what the registry's FULL compatibility accepts, and what a reader then sees."""

import json
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from mesh.codec import Decoder, Encoder
from tests.contract.compiling import Compiled, compile_protos

_BEFORE = """\
syntax = "proto3";
package trial.v1;
import "google/protobuf/timestamp.proto";
import "google/type/money.proto";
import "polystream/options/v1/options.proto";
message Told {
  option (polystream.options.v1.event) = {topic: "told"};
  message Part { string name = 1; /* part */ }
  enum State { STATE_UNSPECIFIED = 0; ON = 1; /* state */ }
  int64 id = 1;
  State state = 2;
  Part part = 3;
  string old = 4;
  /* told */
}
"""


def _compile(folder: Path, source: str) -> Compiled:
    folder.mkdir()
    done = compile_protos(folder, "avro_plugin", {"trial.proto": source})
    assert done.exit_status == 0, done.messages
    return done


def _reads(reader: Compiled, writer: Compiled) -> bool:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call] # avro carries no types
    result = checker.get_compatibility(
        avro.schema.parse(reader.files["trial.v1.Told.avsc"]), avro.schema.parse(writer.files["trial.v1.Told.avsc"])
    )
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        *(
            ("/* told */", change)
            for change in (
                "int32 added = 9;",
                "string added = 9;",
                "bytes added = 9;",
                "double added = 9;",
                "State added = 9;",
                "optional string added = 9;",
                "repeated Part added = 9;",
                "map<string, int64> added = 9;",
                "google.protobuf.Timestamp added = 9;",
                "google.type.Money added = 9;",
                "oneof added { string a = 9; Part b = 10; }",
            )
        ),
        ("/* part */", "State added = 9;"),
        ("/* state */", "OFF = 2;"),
        ("string old = 4;", "reserved 4;"),
    ],
)
def test_change_is_compatible_both_ways(tmp_path: Path, place: str, change: str) -> None:
    """A field added or removed, and a symbol added, can be read by old and new readers alike."""
    before = _compile(tmp_path / "before", _BEFORE)
    after = _compile(tmp_path / "after", _BEFORE.replace(place, change))
    assert before.files != after.files
    assert _reads(after, before)
    assert _reads(before, after)


@pytest.mark.parametrize("change", ["string id = 1;", "repeated int64 id = 1;", "Part id = 1;"])
def test_change_of_type_is_not_compatible(tmp_path: Path, change: str) -> None:
    """A field's type cannot change: the registry would refuse the schema."""
    before = _compile(tmp_path / "before", _BEFORE)
    after = _compile(tmp_path / "after", _BEFORE.replace("int64 id = 1;", change))
    assert not _reads(after, before)


def test_old_reader_sees_what_it_knows(tmp_path: Path) -> None:
    """A reader of before takes an unknown symbol for the zero value, and leaves unknown fields aside."""
    before = _compile(tmp_path / "before", _BEFORE)
    changed = _BEFORE.replace("/* state */", "OFF = 2;").replace("/* told */", "string added = 9;")
    after = _compile(tmp_path / "after", changed)
    written = after.message_class("trial.v1.Told")(id=3, state=2, added="new")
    old_class = before.message_class("trial.v1.Told")
    assert _carry(written, after, old_class, before) == old_class(id=3)


def test_new_reader_fills_what_was_not_there(tmp_path: Path) -> None:
    """A reader of after sees an added field as unset in a record of before."""
    before = _compile(tmp_path / "before", _BEFORE)
    after = _compile(tmp_path / "after", _BEFORE.replace("/* told */", "optional string added = 9;"))
    written = before.message_class("trial.v1.Told")(id=3, old="kept")
    new_class = after.message_class("trial.v1.Told")
    read = _carry(written, before, new_class, after)
    assert read == new_class(id=3, old="kept")
    assert not read.HasField("added")


def _carry(message: Any, writer: Compiled, reader_class: Any, reader: Compiled) -> Any:
    """Write a message with one version's schema and read it with another's."""
    written_with = writer.json("trial.v1.Told.avsc")
    value = Encoder(message.DESCRIPTOR, written_with, 1).encode(message)
    return Decoder(reader_class, reader.json("trial.v1.Told.avsc"), _Registry(written_with)).decode(value)


class _Registry:
    """A registry that has the writer's schema."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema."""
        assert schema_id == 1
        return json.dumps(self._schema)
