"""The golden examples: what each command accepts and what it refuses, as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import protovalidate
import pytest
from buf.validate import validate_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from polystream.options.v1 import options_pb2

from mesh.catalog import Command, load_catalog
from mesh.codec import Decoder, Encoder
from mesh.schemas import load_schema

_GOLDEN = Path(__file__).parent / "golden"
_COMMANDS = load_catalog().commands


def _examples(command: Command) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_GOLDEN / f"{command.name}.json").read_text(encoding="utf-8"))
    return loaded


def _good() -> Iterator[Any]:
    for command in _COMMANDS.values():
        for i, request in enumerate(_examples(command)["good"]):
            yield pytest.param(command, request, id=f"{command.name}-{i}")


def _bad() -> Iterator[Any]:
    for command in _COMMANDS.values():
        for i, example in enumerate(_examples(command)["bad"]):
            yield pytest.param(command, example, id=f"{command.name}-{i}-{example['field']}-{example['rule']}")


def _request(command: Command, request: dict[str, Any]) -> Message:
    return json_format.ParseDict(request, command.request_class())


def _field(violation: Any) -> str:
    """Return the path of the field at fault; a map's key is no part of it."""
    steps = violation.field.elements if violation.field else ()
    return ".".join(_step(step) for step in steps)


def _step(step: Any) -> str:
    if step.subscript is not None and step.subscript.field == "index":
        return f"{step.field_name}[{step.subscript.value}]"
    return str(step.field_name)


def test_every_command_has_examples_and_no_file_is_left_over() -> None:
    """The golden folder holds one file a command, and nothing else."""
    assert sorted(path.name for path in _GOLDEN.iterdir()) == sorted(f"{name}.json" for name in _COMMANDS)


@pytest.mark.parametrize("command", list(_COMMANDS.values()), ids=lambda command: command.name)
def test_every_rule_of_a_field_is_shown_broken(command: Command) -> None:
    """Each field with rules has an example that breaks one; each file has good examples."""
    examples = _examples(command)
    ruled = {
        field.name
        for field in command.request_class.DESCRIPTOR.fields
        if field.GetOptions().HasExtension(validate_pb2.field)  # type: ignore[arg-type] # the stub says FieldDescriptor
    }
    shown = {example["field"].partition("[")[0] for example in examples["bad"]} - {""}
    assert examples["good"]
    assert shown == ruled


@pytest.mark.parametrize(("command", "request_json"), list(_good()))
def test_good_examples_are_valid(command: Command, request_json: dict[str, Any]) -> None:
    """A good example breaks no rule."""
    assert protovalidate.collect_violations(_request(command, request_json)) == []


@pytest.mark.parametrize(("command", "example"), list(_bad()))
def test_bad_examples_break_the_rule_that_they_name(command: Command, example: dict[str, Any]) -> None:
    """A bad example is refused for the field that it names and no other, by the rule that it names."""
    violations = [v.proto for v in protovalidate.collect_violations(_request(command, example["request"]))]
    assert {_field(violation) for violation in violations} == {example["field"]}
    assert example["rule"] in {violation.rule_id for violation in violations}


@pytest.mark.parametrize(("command", "request_json"), list(_good()))
def test_good_examples_survive_avro(command: Command, request_json: dict[str, Any]) -> None:
    """A good example is the same message after it has been an Avro record."""
    request = _request(command, request_json)
    schema = load_schema(command.request_type)
    value = Encoder(command.request_class.DESCRIPTOR, schema, 7).encode(request)  # type: ignore[arg-type] # upb's own class
    assert Decoder(command.request_class, schema, _OneSchema(schema)).decode(value) == request


@pytest.mark.parametrize("command", list(_COMMANDS.values()), ids=lambda command: command.name)
def test_personal_data_is_marked(command: Command) -> None:
    """Names, e-mail addresses and CPFs are marked as personal, wherever a command takes them."""
    personal = {"name", "email", "cpf"}
    for field in command.request_class.DESCRIPTOR.fields:
        assert _is_personal(field) == (field.name in personal)


def _is_personal(field: Any) -> bool:
    return bool(field.GetOptions().Extensions[options_pb2.personal])


class _OneSchema:
    """A registry that has one schema."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema."""
        assert schema_id == 7
        return json.dumps(self._schema)
