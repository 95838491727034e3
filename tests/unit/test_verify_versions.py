"""The older version of a lane that the self-check runs beside the others: made from whatever the present one knows."""

import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cli.verify.breakpoints.older import (
    OlderDecoder,
    begin_by_version,
    make_older,
    make_present,
    older_catalog,
    older_schema,
)
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.errors import PolystreamError, Reason
from mesh.schema_gap import find_gap
from mesh.schemas import load_schema

# What a lane's process finds in its own modules: they export none of it.
bootstrap: Any = import_module("processor.bootstrap")
decoding: Any = import_module("processor.lanes.decoding")

_COMMANDS = load_catalog().commands
_REQUESTS = sorted(command.request_type for command in _COMMANDS.values())


@pytest.mark.parametrize("record", _REQUESTS)
def test_every_request_can_be_read_by_an_older_version(record: str) -> None:
    """As Avro resolves the two, and it lacks no more than an optional field and values of enums."""
    present: dict[str, Any] = dict(load_schema(record))
    older: dict[str, Any] = dict(older_schema(load_schema(record)))
    lacking = {field["name"] for field in present["fields"]} - {field["name"] for field in older["fields"]}
    assert len(lacking) <= 1
    written = _read_as(present, older)
    assert set(written) == {field["name"] for field in older["fields"]}
    assert present == load_schema(record)


def _read_as(writer: dict[str, Any], reader: dict[str, Any]) -> dict[str, Any]:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(writer), {})
    stream.seek(0)
    read = fastavro.schemaless_reader(stream, fastavro.parse_schema(writer), fastavro.parse_schema(reader))
    assert isinstance(read, dict)
    return read


def test_an_older_version_lacks_something_that_is_told() -> None:
    """A field, a value of an enum, a command."""
    gap = find_gap(*(fastavro.parse_schema(schema) for schema in _both("polystream.v1.UpdatePreferencesRequest")))
    assert gap is not None
    assert list(gap({"theme": "DARK"})) == ["theme"]
    gap = find_gap(*(fastavro.parse_schema(schema) for schema in _both("polystream.v1.CacheContentRequest")))
    assert gap is not None
    assert list(gap({"kind": "DOCUMENTARY"})) == ["kind"]
    assert list(gap({"kind": "MOVIE"})) == []
    commands = older_catalog(load_catalog(), "DeleteUser").commands
    assert set(load_catalog().commands) - set(commands) == {"DeleteUser"}


def _both(record: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(load_schema(record)), dict(older_schema(load_schema(record)))


def test_only_the_lane_that_was_named_is_older_and_only_until_it_is_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process looks at its start."""
    monkeypatch.setattr(bootstrap, "load_catalog", bootstrap.load_catalog)
    monkeypatch.setattr(decoding, "Decoder", decoding.Decoder)
    present = bootstrap.load_catalog
    for lane in ("", "lane-redis-0"):
        monkeypatch.setenv("LANE_NAME", lane)
        make_older(tmp_path, "lane-redis-1", "DeleteSession")
        begin_by_version(tmp_path)
        assert bootstrap.load_catalog is present
    monkeypatch.setenv("LANE_NAME", "lane-redis-1")
    make_present(tmp_path, "lane-redis-1")
    begin_by_version(tmp_path)
    assert bootstrap.load_catalog is present
    make_older(tmp_path, "lane-redis-1", "DeleteSession")
    begin_by_version(tmp_path)
    assert "DeleteSession" not in bootstrap.load_catalog().commands
    assert decoding.Decoder.__name__ == OlderDecoder.__name__


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_an_older_lane_reads_what_uses_nothing_new(name: str) -> None:
    """And of what does, it says what it does not know."""
    command = _COMMANDS[name]
    request: Any = command.request_class()
    schema = load_schema(command.request_type)
    source = _Source(schema)
    older = OlderDecoder(command.request_class, schema, source, takes_newer=False)
    encoder = Encoder(request.DESCRIPTOR, schema, 1)
    assert older.decode(encoder.encode(request)) == request
    optional = [field["name"] for field in schema["fields"] if isinstance(field["type"], list)]
    for lost in optional[-1:]:
        field = request.DESCRIPTOR.fields_by_name[lost]
        if field.message_type is None:
            setattr(request, lost, field.default_value)
        else:
            getattr(request, lost).SetInParent()
        with pytest.raises(PolystreamError) as caught:
            older.decode(encoder.encode(request))
        assert caught.value.reason is Reason.LANE_OUTDATED
        assert caught.value.metadata["unknown"] == lost


class _Source:
    """A registry that has one schema."""

    def __init__(self, schema: Any) -> None:
        self._text = json.dumps(schema)

    def schema_by_id(self, schema_id: int) -> str:
        """Return it, whatever is asked for."""
        del schema_id
        return self._text
