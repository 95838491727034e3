"""Whether a field's default is a value of its type, as Avro's specification has it."""

from collections.abc import Mapping
from typing import Any

_INT_BITS = {"int": 31, "long": 63}
_MAX_DEPTH = 64


def default_fits(value: Any, kind: Any, named: Mapping[str, Any], depth: int = 0) -> bool:
    """Say whether a JSON value is a default for a type in canonical form.

    `named` holds the named types defined so far by their full names. A union takes a value of any branch.
    """
    if depth > _MAX_DEPTH:
        return False
    if isinstance(kind, list):
        return any(default_fits(value, branch, named, depth + 1) for branch in kind)
    if isinstance(kind, str) and kind in named:
        kind = named[kind]
    name = kind["type"] if isinstance(kind, dict) else kind
    check = _COMPLEX.get(str(name))
    return _primitive_fits(value, str(name)) if check is None else check(value, kind, named, depth + 1)


def _array_fits(value: Any, kind: Any, named: Mapping[str, Any], depth: int) -> bool:
    return isinstance(value, list) and all(default_fits(item, kind["items"], named, depth) for item in value)


def _map_fits(value: Any, kind: Any, named: Mapping[str, Any], depth: int) -> bool:
    return isinstance(value, dict) and all(default_fits(item, kind["values"], named, depth) for item in value.values())


def _record_fits(value: Any, kind: Any, named: Mapping[str, Any], depth: int) -> bool:
    if "fields" not in kind:  # inside the record's own definition, where no default can end
        return False
    return isinstance(value, dict) and all(
        default_fits(value[field["name"]], field["type"], named, depth)
        if field["name"] in value
        else "default" in field
        for field in kind["fields"]
    )


def _enum_fits(value: Any, kind: Any, _named: Mapping[str, Any], _depth: int) -> bool:
    return value in kind["symbols"]


def _fixed_fits(value: Any, kind: Any, _named: Mapping[str, Any], _depth: int) -> bool:
    return _is_byte_text(value) and len(value) == kind["size"]


_COMPLEX = {
    "array": _array_fits,
    "map": _map_fits,
    "record": _record_fits,
    "enum": _enum_fits,
    "fixed": _fixed_fits,
}


def _primitive_fits(value: Any, name: str) -> bool:
    if name in _INT_BITS:
        limit = 1 << _INT_BITS[name]
        return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
    if name in ("float", "double"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "bytes":
        return _is_byte_text(value)
    expected = {"null": type(None), "boolean": bool, "string": str}
    return isinstance(value, expected[name])


def _is_byte_text(value: Any) -> bool:
    """JSON has bytes as text whose characters are U+0000 to U+00FF."""
    return isinstance(value, str) and all(ord(character) < 256 for character in value)
