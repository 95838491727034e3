"""The Avro plugin: which records it writes, and what becomes of each construct of a proto."""

import json
from pathlib import Path
from typing import Any

import avro.schema
import fastavro
import pytest
from google.protobuf import json_format

from mesh.codec import Decoder, Encoder
from tests.contract.compiling import Compiled, compile_protos

_TRIAL = (Path(__file__).parent / "trial.proto").read_text(encoding="utf-8")
_REQUEST = "trial.v1.TryRequest.avsc"
_MICROS = {"type": "long", "logicalType": "timestamp-micros"}
_COLOUR = "trial.v1.Colour"
_PART = "trial.v1.TryRequest.Part"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The trial protos, compiled."""
    done = compile_protos(tmp_path_factory.mktemp("trial"), "avro_plugin", {"trial.proto": _TRIAL})
    assert done.exit_status == 0, done.messages
    return done


def _fields(compiled: Compiled) -> dict[str, Any]:
    return {field["name"]: field for field in compiled.json(_REQUEST)["fields"]}


def test_records_are_command_requests_and_events(compiled: Compiled) -> None:
    """A schema is written for each command's request and each event, nested ones too, and for nothing else."""
    assert set(compiled.files) == {_REQUEST, "trial.v1.Told.avsc", "trial.v1.Told.Again.avsc"}


def test_record_is_named_after_its_message(compiled: Compiled) -> None:
    """Name and namespace together are the message's full name."""
    told, again = compiled.json("trial.v1.Told.avsc"), compiled.json("trial.v1.Told.Again.avsc")
    assert (told["namespace"], told["name"]) == ("trial.v1", "Told")
    assert (again["namespace"], again["name"]) == ("trial.v1.Told", "Again")


@pytest.mark.parametrize(
    ("name", "avro_type", "default"),
    [
        *((name, "int", 0) for name in ("i32", "s32", "sf32")),
        *((name, "long", 0) for name in ("id", "u32", "f32", "u64", "s64", "f64", "sf64")),
        ("single", "float", 0.0),
        ("real", "double", 0.0),
        ("flag", "boolean", False),
        ("text", "string", ""),
        ("raw", "bytes", ""),
        ("maybe_text", ["null", "string"], None),
        ("maybe_colour", ["null", _COLOUR], None),
        ("parts", {"type": "array", "items": _PART}, []),
        ("numbers", {"type": "array", "items": "long"}, []),
        ("labels", {"type": "map", "values": "string"}, {}),
        ("parts_by_number", {"type": "map", "values": _PART}, {}),
        ("times", {"type": "map", "values": _MICROS}, {}),
        ("at", ["null", _MICROS], None),
        ("all_times", {"type": "array", "items": _MICROS}, []),
        ("span", ["null", "long"], None),
        ("address", ["null", "string"], None),
        ("target_part", ["null", _PART], None),
        ("target_colour", ["null", _COLOUR], None),
        ("by_flag", {"type": "map", "values": _COLOUR}, {}),
    ],
)
def test_field_has_its_type_and_default(compiled: Compiled, name: str, avro_type: Any, default: Any) -> None:
    """Each construct has the type of the mapping's table, and a default that says the same as an unset field."""
    field = _fields(compiled)[name]
    assert field["type"] == avro_type
    assert field["default"] == default
    assert type(field["default"]) is type(default)


def test_enum_falls_back_to_its_zero_value(compiled: Compiled) -> None:
    """An enum keeps its symbols in order, and its first one stands for those that a reader does not know."""
    field = _fields(compiled)["colour"]
    assert field["default"] == "COLOUR_UNSPECIFIED"
    assert field["type"] == {
        "type": "enum",
        "name": "Colour",
        "namespace": "trial.v1",
        "doc": "How it looks.",
        "symbols": ["COLOUR_UNSPECIFIED", "RED", "DEEP_BLUE"],
        "default": "COLOUR_UNSPECIFIED",
    }


def test_nested_message_is_defined_once(compiled: Compiled) -> None:
    """A message's first use defines its record, and the others name it."""
    null, part = _fields(compiled)["part"]["type"]
    assert null == "null"
    assert (part["type"], part["namespace"], part["name"]) == ("record", "trial.v1.TryRequest", "Part")
    assert [field["name"] for field in part["fields"]] == ["name", "grip", "colours"]
    assert compiled.files[_REQUEST].count('"name": "Part"') == 1


@pytest.mark.parametrize(
    ("field", "name", "parts"),
    [
        ("price", "google.type.Money", ["currency_code", "units", "nanos"]),
        ("detail", "google.protobuf.Any", ["type_url", "value"]),
        ("wrapped", "google.protobuf.StringValue", ["value"]),
    ],
)
def test_common_types_are_records(compiled: Compiled, field: str, name: str, parts: list[str]) -> None:
    """Money, Any and the wrappers are records of their fields, absent when not set."""
    null, record = _fields(compiled)[field]["type"]
    assert null == "null"
    assert f"{record['namespace']}.{record['name']}" == name
    assert [part["name"] for part in record["fields"]] == parts


def test_comments_are_documentation(compiled: Compiled) -> None:
    """Comments become doc, line breaks within a paragraph undone; a duration's says its unit."""
    schema = compiled.json(_REQUEST)
    assert schema["doc"] == "A command with everything.\n\nIn two paragraphs, the second on two lines."
    fields = _fields(compiled)
    assert fields["id"]["doc"] == "The identifier."
    assert fields["span"]["doc"] == "How long. In microseconds."
    assert "doc" not in fields["i32"]


def test_every_field_has_a_default(compiled: Compiled) -> None:
    """No field of any record is without a default, so that none has to be in the writer's schema."""

    def check(schema: Any) -> None:
        if isinstance(schema, list):
            for branch in schema:
                check(branch)
        elif isinstance(schema, dict):
            for field in schema.get("fields", ()):
                assert "default" in field
                check(field["type"])
            check(schema.get("items"))
            check(schema.get("values"))

    for name in compiled.files:
        check(compiled.json(name))


def test_schemas_are_valid_avro(compiled: Compiled) -> None:
    """Both Avro libraries parse every schema, fastavro's check of the defaults included."""
    for text in compiled.files.values():
        fastavro.parse_schema(json.loads(text))
        avro.schema.parse(text)


def test_output_is_the_same_every_time(compiled: Compiled, tmp_path: Path) -> None:
    """The same protos give the same bytes."""
    again = compile_protos(tmp_path, "avro_plugin", {"trial.proto": _TRIAL})
    assert again.files == compiled.files


@pytest.mark.parametrize(
    "request_json",
    [
        {},
        {"id": "-9223372036854775808", "u32": 4294967295, "u64": "9223372036854775807", "raw": "AP8=", "real": 0.1},
        {"maybe_text": "", "maybe_colour": "COLOUR_UNSPECIFIED", "colour": "DEEP_BLUE"},
        {"part": {}, "parts": [{"name": "a", "grip": "TIGHT"}, {"colours": ["RED", "DEEP_BLUE"]}]},
        {"labels": {"": "", "k": "v"}, "parts_by_number": {"-1": {"name": "x"}}, "by_flag": {"true": "RED"}},
        {"at": "2026-01-31T22:15:00.123456Z", "all_times": ["1969-12-31T23:59:59.5Z"], "span": "1.5s"},
        {
            "times": {"then": "1970-01-01T00:00:00Z"},
            "price": {"currency_code": "BRL", "units": "9", "nanos": 990000000},
        },
        {"detail": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}, "wrapped": ""},
        {"span": "-2s"},
        {"span": "-1.5s"},
        {"address": ""},
        {"target_part": {"name": "x"}},
        {"target_colour": "COLOUR_UNSPECIFIED"},
    ],
    ids=str,
)
def test_codec_reads_back_what_it_wrote(compiled: Compiled, request_json: dict[str, Any]) -> None:
    """The runtime's codec follows the same rules: a message survives its schema, presence included."""
    message_class = compiled.message_class("trial.v1.TryRequest")
    pool: Any = message_class.DESCRIPTOR.file.pool  # upb's own class
    request = json_format.ParseDict(request_json, message_class(), descriptor_pool=pool)
    schema = compiled.json(_REQUEST)
    value = Encoder(message_class.DESCRIPTOR, schema, 1).encode(request)  # type: ignore[arg-type] # upb's own class
    assert Decoder(message_class, schema, _Registry(schema)).decode(value) == request


def _proto(body: str, head: str = 'syntax = "proto3"; package trial.v1;') -> str:
    return (
        f'{head} import "polystream/options/v1/options.proto";'
        'message Told { option (polystream.options.v1.event) = {topic: "told"}; ' + body
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        pytest.param(
            _proto("Told inner = 1; }"),
            "trial.proto: trial.v1.Told.inner: a recursive message has no Avro form here "
            "(trial.v1.Told in trial.v1.Told); refer to it by an ID",
            id="recursion",
        ),
        pytest.param(
            _proto("Leaf leaf = 1; } message Leaf { map<string, Branch> all = 1; } message Branch { Leaf leaf = 1; }"),
            "trial.proto: trial.v1.Branch.leaf: a recursive message has no Avro form here "
            "(trial.v1.Leaf in trial.v1.Branch in trial.v1.Leaf); refer to it by an ID",
            id="recursion through a map",
        ),
        pytest.param(
            _proto("E e = 1; } enum E { option allow_alias = true; E_UNSPECIFIED = 0; A = 1; B = 1; }"),
            "trial.proto: trial.v1.Told.e: two symbols of trial.v1.E have the same number; keep one",
            id="alias",
        ),
        pytest.param(
            _proto("bool b = 1; }", 'syntax = "proto3";'),
            "trial.proto: Told: declare a package, an Avro record needs a namespace",
            id="no package",
        ),
        pytest.param(
            _proto("optional bool b = 1; }", 'syntax = "proto2"; package trial.v1;'),
            "trial.proto: trial.v1.Told: only proto3 has an Avro form here",
            id="proto2",
        ),
    ],
)
def test_what_has_no_avro_form_is_refused(tmp_path: Path, source: str, told: str) -> None:
    """A construct without an Avro form fails the build with its file, its message and field, and a remedy."""
    done = compile_protos(tmp_path, "avro_plugin", {"trial.proto": source})
    assert done.exit_status != 0
    assert told in done.messages
    assert done.files == {}


class _Registry:
    """A registry that has one schema."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema."""
        assert schema_id == 1
        return json.dumps(self._schema)
