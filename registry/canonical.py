"""One text for each Avro schema: what two texts must share to have the same identifier.

It is Avro's Parsing Canonical Form (full names, no needless nesting, attributes in one order) without that
form's losses: defaults, docs, aliases, logical types and other attributes are kept, since readers need them.

Apache's parser is looser than its specification: it takes any default, any alias, the same named type twice
in a union and protocol-only types, and it resolves no alias against its namespace. The walk below is strict on
all of these, so that what is judged by Apache's checker afterwards holds full names only.
"""

import json
import re
from typing import Any

from registry.defaults import default_fits

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = frozenset({"record", "enum", "fixed"})
_CONTAINERS = {"array": "items", "map": "values"}
_ATTRIBUTE_ORDER = ("name", "type", "fields", "symbols", "items", "values", "size")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_MAX_DEPTH = 64  # Apache's checker takes about four stack frames a level
_MAX_NODES = 10_000  # types and fields of one schema

Json = Any


class InvalidSchemaError(ValueError):
    """The text is no valid Avro schema; the message says what and where."""


def canonical_text(text: str) -> str:
    """Return the schema's one text.

    Raises InvalidSchemaError when it is not a valid Avro schema, or larger than this registry takes.
    """
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise InvalidSchemaError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidSchemaError("nested too deep") from error
    return json.dumps(_Walk().schema(parsed, "", 0), separators=(",", ":"), ensure_ascii=False)


class _Walk:
    """Walks one schema, checks it, and remembers the named types that it defines."""

    def __init__(self) -> None:
        self._defined: dict[str, Json] = {}
        self._nodes = 0

    def schema(self, node: Json, namespace: str, depth: int) -> Json:
        """Return a schema in its canonical form."""
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise InvalidSchemaError(f"larger than {_MAX_NODES} types and fields, or nested deeper than {_MAX_DEPTH}")
        if isinstance(node, str):
            return node if node in PRIMITIVES else self._reference(node, namespace)
        if isinstance(node, list):
            return self._union(node, namespace, depth)
        if isinstance(node, dict):
            return self._typed(node, namespace, depth)
        raise InvalidSchemaError(f"{json.dumps(node)} is not a schema")

    def _typed(self, node: dict[str, Json], namespace: str, depth: int) -> Json:
        kind = node.get("type")
        if isinstance(kind, dict | list):
            return self.schema(kind, namespace, depth + 1)
        if not isinstance(kind, str):
            raise InvalidSchemaError("a schema has no type")
        if kind in PRIMITIVES:
            return kind if len(node) == 1 else _ordered(node)
        if kind in _NAMED:
            return self._named(node, kind, namespace, depth)
        if kind in _CONTAINERS:
            part = _CONTAINERS[kind]
            return _ordered(node | {part: self._part(node, part, namespace, depth)})
        return self._reference(kind, namespace)

    def _part(self, node: dict[str, Json], attribute: str, namespace: str, depth: int) -> Json:
        if attribute not in node:
            raise InvalidSchemaError(f"type {node['type']} has no {attribute}")
        return self.schema(node[attribute], namespace, depth + 1)

    def _reference(self, name: str, namespace: str) -> str:
        for candidate in (_full_name(name, namespace), name):
            if candidate in self._defined:
                return candidate
        raise InvalidSchemaError(f"'{name}' is no Avro type and is not defined before its use")

    def _union(self, branches: list[Json], namespace: str, depth: int) -> list[Json]:
        canonical: list[Json] = []
        seen: set[str] = set()
        for branch in branches:
            if isinstance(branch, list):
                raise InvalidSchemaError("a union holds another union")
            found = self.schema(branch, namespace, depth + 1)
            key = _branch_key(found)
            if key in seen:
                raise InvalidSchemaError(f"a union holds '{key}' twice")
            seen.add(key)
            canonical.append(found)
        return canonical

    def _named(self, node: dict[str, Json], kind: str, namespace: str, depth: int) -> dict[str, Json]:
        full = _definition_name(node, namespace)
        if full in self._defined:
            raise InvalidSchemaError(f"'{full}' is defined twice")
        own_namespace = full.rpartition(".")[0]
        result = {key: value for key, value in node.items() if key != "namespace"} | {"name": full}
        if "aliases" in node:
            result["aliases"] = [_full_name(alias, own_namespace) for alias in _names(node, "aliases", _FULL_NAME)]
        self._defined[full] = {"type": kind}  # before the fields: a record may hold itself
        if kind == "record":
            result["fields"] = self._fields(node, full, own_namespace, depth)
        elif kind == "enum":
            _check_enum(node, full)
        elif not isinstance(node.get("size"), int) or isinstance(node["size"], bool) or node["size"] < 0:
            raise InvalidSchemaError(f"fixed '{full}' has no size in bytes")
        ordered = _ordered(result)
        self._defined[full] = ordered
        return ordered

    def _fields(self, node: dict[str, Json], record: str, namespace: str, depth: int) -> list[Json]:
        fields = node.get("fields")
        if not isinstance(fields, list):
            raise InvalidSchemaError(f"record '{record}' has no list of fields")
        seen: set[str] = set()
        canonical: list[Json] = []
        for field in fields:
            found = self._field(field, record, namespace, depth)
            if found["name"] in seen:
                raise InvalidSchemaError(f"record '{record}' has field '{found['name']}' twice")
            seen.add(found["name"])
            canonical.append(found)
        return canonical

    def _field(self, field: Json, record: str, namespace: str, depth: int) -> dict[str, Json]:
        if not isinstance(field, dict) or "type" not in field:
            raise InvalidSchemaError(f"record '{record}' has a field without a type")
        name = field.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidSchemaError(f"record '{record}' has a field with no valid name")
        if field.get("order", "ascending") not in ("ascending", "descending", "ignore"):
            raise InvalidSchemaError(f"field '{record}.{name}' has an invalid order")
        if "aliases" in field:
            _names(field, "aliases", _NAME)
        self._nodes += 1
        kind = self.schema(field["type"], namespace, depth + 1)
        if "default" in field and not default_fits(field["default"], kind, self._defined):
            raise InvalidSchemaError(f"field '{record}.{name}' has a default that is not of its type")
        return _ordered(field | {"type": kind})


def _definition_name(node: dict[str, Json], namespace: str) -> str:
    name, space = node.get("name"), node.get("namespace", namespace)
    if not isinstance(name, str) or not isinstance(space, str):
        raise InvalidSchemaError(f"type {node['type']} has no name, or a namespace that is not text")
    full = _full_name(name, space)
    if not _FULL_NAME.fullmatch(full):
        raise InvalidSchemaError(f"'{full}' is not a valid name")
    if full in PRIMITIVES:
        raise InvalidSchemaError(f"'{full}' is the name of a type of Avro's own")
    return full


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _names(node: dict[str, Json], attribute: str, pattern: re.Pattern[str]) -> list[str]:
    names = node.get(attribute)
    if not isinstance(names, list) or not all(isinstance(name, str) and pattern.fullmatch(name) for name in names):
        raise InvalidSchemaError(f"'{node.get('name')}' needs a list of valid names as {attribute}")
    return names


def _check_enum(node: dict[str, Json], full: str) -> None:
    symbols = _names(node, "symbols", _NAME)
    if len(set(symbols)) != len(symbols):
        raise InvalidSchemaError(f"enum '{full}' has a symbol twice")
    if "default" in node and node["default"] not in symbols:
        raise InvalidSchemaError(f"enum '{full}' has a default that is not one of its symbols")


def _branch_key(branch: Json) -> str:
    """Return what may be in a union once: an unnamed type, or a named type's name."""
    if isinstance(branch, str):
        return branch
    return str(branch["name"] if branch["type"] in _NAMED else branch["type"])


def _ordered(node: dict[str, Json]) -> dict[str, Json]:
    first = {key: node[key] for key in _ATTRIBUTE_ORDER if key in node}
    return first | {key: node[key] for key in sorted(node) if key not in first}
