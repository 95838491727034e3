"""The query of a URL: fields of the request by their dotted names."""

from collections import Counter
from typing import Final, NamedTuple

from gateway.rest.percent import decode_percent
from gateway.rest.request_fields import RequestField, RequestFields
from mesh.errors import MAX_FAULTS, FieldFault, PolystreamError, Reason

MAX_QUERY_PARAMETERS: Final = 100


class Parameter(NamedTuple):
    """What a query says of one field."""

    field: RequestField
    values: list[str]  # in the order of the query; one, unless the field is repeated


def read_query(query: str, fields: RequestFields) -> list[Parameter]:
    """Read a query: `name=value` with `&` between, as forms are encoded (a plus is a space).

    A name without `=` has the empty value. Nothing between two `&` says nothing.

    Raises PolystreamError UNKNOWN_FIELD for a name that no field has, INVALID_FIELD for one that a query cannot set, a
    single value given twice, or a field given under two names, MALFORMED_REQUEST, and HEADERS_TOO_LARGE for more than
    100 parameters.
    """
    found: dict[str, Parameter] = {}
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()  # values of each field so far
    faults: dict[FieldFault, None] = {}
    reason = Reason.INVALID_FIELD
    parts = [part for part in query.split("&") if part]
    if len(parts) > MAX_QUERY_PARAMETERS:
        raise PolystreamError(
            Reason.HEADERS_TOO_LARGE,
            f"the query has more than the {MAX_QUERY_PARAMETERS} parameters that are allowed; send fewer",
        )
    for part in parts:
        raw_name, _, raw_value = part.partition("=")
        try:
            name, field = _named(raw_name, fields)
        except PolystreamError as error:
            if error.reason is Reason.MALFORMED_REQUEST:
                raise
            reason = error.reason if error.reason is Reason.UNKNOWN_FIELD else reason
            faults.update(dict.fromkeys(error.faults))
            continue
        index = counts[field.key]
        counts[field.key] += 1
        try:
            value = decode_percent(raw_value.replace("+", " "))
        except ValueError as error:
            faults[FieldFault(f"{field.key}[{index}]" if field.is_repeated else field.key, str(error))] = None
            continue
        parameter = found.get(field.key)
        if parameter is None:
            found[field.key] = Parameter(field, [value])
            names[field.key] = name
        elif not field.is_repeated:
            faults[FieldFault(field.key, "is given twice in the query; give it once")] = None
        elif names[field.key] != name:
            faults[FieldFault(field.key, "is given under two names in the query; use one of them")] = None
        else:
            parameter.values.append(value)
    if faults:
        raise PolystreamError(reason, faults=list(faults)[:MAX_FAULTS])
    return list(found.values())


def _named(raw_name: str, fields: RequestFields) -> tuple[str, RequestField]:
    try:
        name = decode_percent(raw_name.replace("+", " "))
    except ValueError as error:
        raise PolystreamError(Reason.MALFORMED_REQUEST, f"the name of a parameter in the query {error}") from None
    if not name:
        raise PolystreamError(
            Reason.MALFORMED_REQUEST, "the query has a value without a name; put the field's name before the ="
        )
    return name, fields.find(name)
