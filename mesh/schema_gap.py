"""What a record says that its reader would lose: fields and enum symbols that only the writer's schema has.

Avro's resolution leaves such a field out, and takes an unknown symbol for the enum's default. The command would then be
another one than was accepted. The two schemas are compared once; a record is looked at only where they differ so.
A field at its default says nothing: it is what a writer sends that does not use it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

# From a value of the writer's to the paths of what the reader does not know.
GapFinder = Callable[[Any], Iterator[str]]

_NAMES_MAX_CHARACTERS: Final = 100  # of a path: a writer's schema is anybody's
_RECORDS: Final = ("record", "error")
_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, "", b"", [], {})


def find_gap(writer: Any, reader: Any) -> GapFinder | None:
    """Return what finds a record's gap, given both schemas as fastavro parses them; None where there can be none."""
    return _Comparison(_named_types(writer), _named_types(reader)).compare(writer, reader)


def _named_types(schema: Any) -> dict[str, Any]:
    """Return the definitions in a schema by their names: later uses of a type are its name alone."""
    found: dict[str, Any] = {}
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            if "name" in part and part.get("type") in {*_RECORDS, "enum", "fixed"}:
                found[part["name"]] = part
            todo += [field["type"] for field in part.get("fields", ())]
            todo += [part[key] for key in ("items", "values") if key in part]
            if not isinstance(part.get("type"), str):
                todo.append(part.get("type"))
    return found


class _Comparison:
    """Compares the parts of two schemas that stand for the same."""

    def __init__(self, writer_types: Mapping[str, Any], reader_types: Mapping[str, Any]) -> None:
        self._writer_types = writer_types
        self._reader_types = reader_types

    def compare(self, writer: Any, reader: Any) -> GapFinder | None:
        """Return what finds the gap in a value of `writer` that is read as `reader`; None where there can be none."""
        writer, reader = _resolved(writer, self._writer_types), _resolved(reader, self._reader_types)
        if isinstance(writer, list) or isinstance(reader, list):
            return self._compare_optional(writer, reader)
        kind = _kind(writer)
        if kind in _RECORDS and _kind(reader) in _RECORDS:
            return self._compare_records(writer, reader)
        if kind == _kind(reader) == "enum":
            return _unknown_symbols(writer, reader)
        if kind == _kind(reader) and kind in {"array", "map"}:
            return self._compare_many(kind, writer, reader)
        return None

    def _compare_optional(self, writer: Any, reader: Any) -> GapFinder | None:
        """Compare two types of which null may stand in for either. The platform has no other unions."""
        written, read = _without_null(writer), _without_null(reader)
        if len(written) != 1 or len(read) != 1:
            return None
        inner = self.compare(written[0], read[0])
        if inner is None:
            return None
        return lambda value: iter(()) if value is None else inner(value)

    def _compare_records(self, writer: Any, reader: Any) -> GapFinder | None:
        known = {name: field for field in reader["fields"] for name in (field["name"], *field.get("aliases", ()))}
        finders: list[tuple[str, GapFinder]] = []
        for field in writer["fields"]:
            name = field["name"]
            finder = (
                self.compare(field["type"], known[name]["type"])
                if name in known
                else _said(field, _resolved(field["type"], self._writer_types))
            )
            if finder is not None:
                finders.append((name, finder))
        if not finders:
            return None

        def find(record: Any) -> Iterator[str]:
            for name, finder in finders:
                for path in finder(record[name]):
                    yield f"{name}.{path}"[:_NAMES_MAX_CHARACTERS].rstrip(".")

        return find

    def _compare_many(self, kind: str, writer: Any, reader: Any) -> GapFinder | None:
        key = "items" if kind == "array" else "values"
        inner = self.compare(writer[key], reader[key])
        if inner is None:
            return None
        # A map's keys may be personal data, and a place in a list tells nobody more.
        return lambda values: (
            path for value in (values if kind == "array" else values.values()) for path in inner(value)
        )


def _resolved(schema: Any, types: Mapping[str, Any]) -> Any:
    """Return a schema with the definition in place of a name or a wrapping."""
    while True:
        if isinstance(schema, str) and schema in types:
            schema = types[schema]
        elif isinstance(schema, dict) and not isinstance(schema["type"], str):
            schema = schema["type"]
        elif isinstance(schema, dict) and schema["type"] in types:
            schema = types[schema["type"]]
        else:
            return schema


def _kind(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _without_null(schema: Any) -> Sequence[Any]:
    branches = schema if isinstance(schema, list) else [schema]
    return [branch for branch in branches if _kind(branch) != "null"]


def _said(field: Mapping[str, Any], schema: Any) -> GapFinder:
    """Return what finds a field that the reader lacks, where it says anything."""
    silent = field.get("default")
    if _kind(schema) in {"bytes", "fixed"} and isinstance(silent, str):
        silent = silent.encode("latin-1")  # as Avro writes bytes in a schema

    def find(value: Any) -> Iterator[str]:
        if value != silent if "default" in field else value not in _NOTHING:
            yield ""

    return find


def _unknown_symbols(writer: Any, reader: Any) -> GapFinder | None:
    unknown = frozenset(writer["symbols"]) - frozenset(reader["symbols"])
    if not unknown:
        return None

    def find(value: Any) -> Iterator[str]:
        if value in unknown:
            yield ""

    return find
