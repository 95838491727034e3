"""The pocket registry's canonical texts, and what it mends around Apache's compatibility checker."""

import json
from typing import Any

import pytest

from registry.canonical import InvalidSchemaError, canonical_text
from registry.compatibility import Level, broken_promises


def canonical(schema: Any) -> str:
    """The canonical text of a schema given as JSON."""
    return canonical_text(json.dumps(schema))


def record(name: str, *fields: tuple[str, Any], **attributes: Any) -> dict[str, Any]:
    """A record schema; a field is its name and type."""
    listed = [{"name": field, "type": kind} for field, kind in fields]
    return {"type": "record", "name": name, "fields": listed, **attributes}


def with_default(kind: Any, default: Any) -> dict[str, Any]:
    """A record whose one field has a default."""
    return {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind, "default": default}]}


def test_names_are_written_out_in_full() -> None:
    """Namespaces are inherited by what is inside, and by aliases."""
    inner = {"type": "enum", "name": "E", "symbols": ["A"], "aliases": ["Old", "z.Other"]}
    schema = record("R", ("e", inner), ("again", "E"), namespace="a.b")
    assert json.loads(canonical(schema)) == {
        "name": "a.b.R",
        "type": "record",
        "fields": [
            {
                "name": "e",
                "type": {"name": "a.b.E", "type": "enum", "symbols": ["A"], "aliases": ["a.b.Old", "z.Other"]},
            },
            {"name": "again", "type": "a.b.E"},
        ],
    }


def test_needless_nesting_is_taken_away_and_other_attributes_stay() -> None:
    """A plain type has one form; a logical type is part of the schema."""
    assert canonical({"type": "string"}) == canonical({"type": {"type": "string"}}) == '"string"'
    timestamp = {"logicalType": "timestamp-micros", "type": "long"}
    assert json.loads(canonical(timestamp)) == timestamp
    assert canonical(timestamp) != canonical("long")


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("null", None),
        ("int", -(2**31)),
        ("long", 2**62),
        ("double", 1),
        ("boolean", False),
        ("bytes", "\u00ff"),
        ({"type": "fixed", "name": "F", "size": 2}, "\u0000\u0001"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "A"),
        ({"type": "array", "items": "int"}, [1, 2]),
        ({"type": "map", "values": "string"}, {"a": "b"}),
        (["null", "string"], None),
        (["null", "string"], "text"),
        (record("S", ("a", "int")), {"a": 1}),
    ],
)
def test_a_default_of_the_fields_type_is_taken(kind: Any, default: Any) -> None:
    """Every type has defaults, and a union has those of all its branches."""
    assert json.loads(canonical(with_default(kind, default)))["fields"][0]["default"] == default


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("null", 0),
        ("int", 2**31),
        ("int", True),
        ("int", 1.5),
        ("long", 2**63),
        ("double", "1"),
        ("boolean", 0),
        ("bytes", "\u0100"),
        ({"type": "fixed", "name": "F", "size": 2}, "x"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "B"),
        ({"type": "array", "items": "int"}, ["x"]),
        ({"type": "map", "values": "string"}, {"a": 1}),
        (["null", "string"], 1),
        (record("S", ("a", "int")), {}),
        (["null", "R"], {}),
    ],
)
def test_a_default_of_another_type_is_refused(kind: Any, default: Any) -> None:
    """A default that no reader could use is found when the schema is registered, not when a record is read."""
    with pytest.raises(InvalidSchemaError, match="default"):
        canonical(with_default(kind, default))


@pytest.mark.parametrize(
    "schema",
    [
        7,
        None,
        {},
        {"type": 7},
        {"type": "array"},
        {"type": "error", "name": "E", "fields": []},
        {"type": "record", "name": "string", "fields": []},
        {"type": "record", "fields": []},
        {"type": "record", "name": "R", "namespace": 7, "fields": []},
        record("R", ("a", "int")) | {"aliases": "Old"},
        record("R", ("a", record("R"))),
        record("R", ("a", record("S")), ("b", ["S", "S"])),
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "order": "upwards"}]},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "aliases": ["1"]}]},
        {"type": "record", "name": "R", "fields": "none"},
        {"type": "enum", "name": "E", "symbols": ["A"], "default": "B"},
        {"type": "enum", "name": "E", "symbols": [7]},
        {"type": "fixed", "name": "F", "size": True},
    ],
)
def test_what_apaches_parser_lets_through_is_refused(schema: Any) -> None:
    """A schema is checked by the specification's rules before it gets an identifier."""
    with pytest.raises(InvalidSchemaError):
        canonical(schema)


def test_size_and_depth_are_bounded() -> None:
    """A schema that would take the checker too deep or too long is refused."""
    deep: Any = "int"
    for _ in range(100):
        deep = {"type": "array", "items": deep}
    wide = record("R", *((f"f{number}", "int") for number in range(6000)))
    for schema in (deep, wide):
        with pytest.raises(InvalidSchemaError, match="larger than"):
            canonical(schema)


def test_what_was_concluded_from_a_refuted_pair_is_judged_again() -> None:
    """A recursive pair taken for compatible while under judgement does not make another one compatible.

    The reader's `a.Node` cannot read the writer's, for it wants `x`. `a.Link` holds an `a.Node`, so it cannot be
    read either, although it was looked at while `a.Node` was under judgement.
    """

    def link(node: str) -> dict[str, Any]:
        return record("a.Link", ("node", ["null", node]))

    writer = record("Top", ("f", record("a.Node", ("link", link("a.Node")))), ("g", "a.Link"))
    reader_node = record("a.Node", ("link", link("a.Node")), ("x", "long"))
    other_node = record("b.Node", ("link", {"type": "record", "name": "b.Link", "fields": []}))
    reader = record("Top", ("f", [reader_node, other_node]), ("g", "a.Link"))
    assert broken_promises(Level.BACKWARD, canonical(reader), [(1, canonical(writer))])


def test_the_reasons_name_the_version_the_kind_and_the_place() -> None:
    """Somebody who is refused reads which field breaks which version."""
    old = canonical(record("R", ("a", "long")))
    new = canonical(record("R", ("a", "long"), ("b", "long")))
    (reason,) = broken_promises(Level.FULL_TRANSITIVE, new, [(3, old)])
    assert "cannot read version 3" in reason
    assert "READER_FIELD_MISSING_DEFAULT_VALUE at /fields/1: b" in reason
