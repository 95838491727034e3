"""Makes a lane one of an older version: what the present one has got since is taken away from what it knows."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import Message

from mesh.catalog import Catalog
from mesh.codec import Decoder, SchemaSource

_FOLDER: Final = "older"
_NULL: Final = "null"


def make_older(data_dir: Path, lane: str, command: str) -> None:
    """Have a lane process, by its name, be of an older version, without a command, from its next start on."""
    path = data_dir / _FOLDER / lane
    path.parent.mkdir(exist_ok=True)
    path.write_text(command, encoding="ascii")


def make_present(data_dir: Path, lane: str) -> None:
    """Have a lane process be of the present version again, from its next start on."""
    (data_dir / _FOLDER / lane).unlink(missing_ok=True)


def begin_by_version(data_dir: Path) -> None:
    """Take away from this lane's process what the version lacks that was set for it, if one was."""
    path = data_dir / _FOLDER / os.environ.get("LANE_NAME", "")
    if not path.is_file():
        return
    command = path.read_text(encoding="ascii")
    bootstrap: Any = importlib.import_module("processor.bootstrap")
    decoding: Any = importlib.import_module("processor.lanes.decoding")
    load_catalog = bootstrap.load_catalog
    bootstrap.load_catalog = lambda: older_catalog(load_catalog(), command)
    decoding.Decoder = OlderDecoder


class OlderDecoder(Decoder):
    """Reads messages as an older version knows them: what it does not know is not set."""

    def __init__(
        self, message_class: type[Message], schema: Mapping[str, Any], source: SchemaSource, *, takes_newer: bool = True
    ) -> None:
        """Read with the older version of the schema that is given."""
        older = older_schema(schema)
        super().__init__(message_class, older, source, takes_newer=takes_newer)
        known = {field["name"] for field in older["fields"]}
        unset = {field["name"]: None for field in schema["fields"] if field["name"] not in known}
        from_avro = self._from_avro
        self._from_avro = lambda record: from_avro({**unset, **record})


def older_catalog(catalog: Catalog, command: str) -> Catalog:
    """Return a catalog as it was before a command was added."""
    commands = {name: known for name, known in catalog.commands.items() if name != command}
    return Catalog(catalog.services, MappingProxyType(commands))


def older_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a request's schema as it was before its last optional field, and before the last value of each enum."""
    optional = [field["name"] for field in schema["fields"] if _is_optional(field["type"])]
    fields = [_older_field(field) for field in schema["fields"] if field["name"] not in optional[-1:]]
    return {**schema, "fields": fields}


def _older_field(field: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = field["type"]
    if not isinstance(kind, dict) or kind.get("type") != "enum":
        return field
    return {**field, "type": {**kind, "symbols": kind["symbols"][:-1]}}


def _is_optional(kind: Any) -> bool:
    return isinstance(kind, list) and _NULL in kind
