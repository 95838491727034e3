"""A field of a request has one source: path, query, body or header. Two are refused: none is ever dropped."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from gateway.rest.request_fields import RequestField
from mesh.errors import MAX_FAULTS, FieldFault, PolystreamError, Reason

PATH: Final = "the path"
QUERY: Final = "the query"
BODY: Final = "the body"


class Sourced(NamedTuple):
    """A field with the source that gives it."""

    field: RequestField
    source: str


def check_sources(fields: Sequence[Sourced], in_body: Collection[str], body_field: str) -> None:
    """Check that no field has two sources, and no oneof two fields.

    `fields` are those that come from outside of the body, and `in_body` the paths of what the body gives a value; of
    a message of which the path sets a part, they go on below it. `body_field` is the field that the body is, "" where
    it is the whole request.

    Raises PolystreamError INVALID_FIELD.
    """
    faults: dict[FieldFault, None] = {}
    for index, (field, source) in enumerate(fields):
        top = field.names[0]
        before = fields[:index]
        if source == QUERY and top == body_field:
            faults[FieldFault(field.key, f"belongs in the body, which is {top} as a whole")] = None
        elif field.key in in_body:
            faults[_twice(field.key, source, BODY)] = None
        elif source != PATH and top in in_body:  # part of a message here, the message there
            faults[_twice(top, source, BODY)] = None
        for other in before:
            if other.field.key == field.key:
                faults[_twice(field.key, other.source, source)] = None
        if excluded := _excluded(field, [*in_body, *(other.field.key for other in before)]):
            faults[FieldFault(field.key, f"excludes {excluded}; give one of the two")] = None
    if faults:
        raise PolystreamError(Reason.INVALID_FIELD, faults=list(faults)[:MAX_FAULTS])


def _excluded(field: RequestField, others: Sequence[str]) -> str:
    """Return one of the others that a oneof excludes, or nothing."""
    return min((key for key in others if field.excludes(key)), default="") if field.rivals else ""


def _twice(key: str, one: str, other: str) -> FieldFault:
    return FieldFault(key, f"is given twice, in {one} and in {other}; give it once")
