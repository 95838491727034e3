"""A listing as a query of OpenSearch's, which Elasticsearch 7 takes too."""

from collections.abc import Mapping
from typing import Any, Final

from monitor.listing.conditions import All, Compares, Condition, Either, Equals, Matches, Not, Present
from monitor.listing.fields import FieldType, ListKind
from monitor.listing.listing import MISSING_NUMBER, Listing, OrderField

Query = dict[str, Any]

_RANGES: Final[Mapping[str, str]] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def listing_query(listing: Listing, kind: ListKind) -> Query:
    """Return the body of a search."""
    query: Query = {
        "query": {"bool": {"filter": [_condition(listing.where, kind)]}},
        "sort": [_sort(field, kind) for field in listing.order_of(kind)],
        "size": listing.limit,
        "track_total_hits": False,
    }
    if listing.after is not None:
        query["search_after"] = list(listing.after)
    return query


def _condition(condition: Condition, kind: ListKind) -> Query:  # noqa: C901, PLR0911 # one for each condition
    match condition:
        case Equals(field, value):
            return {"term": {field: value}}
        case Compares(field, "=", value):
            return {"term": {field: value}}
        case Compares(field, comparator, value):
            form = {"format": "epoch_millis"} if _is_time(field, kind) else {}
            return {"range": {field: {_RANGES[comparator]: value, **form}}}
        case Matches(field, parts, ignores_case):
            insensitive = {"case_insensitive": True} if ignores_case else {}
            return {"wildcard": {field: {"value": "*".join(map(_escaped, parts)), **insensitive}}}
        case Present(field):
            return {"exists": {"field": field}}
        case Not(inner):
            return {"bool": {"must_not": [_condition(inner, kind)]}}
        case All(()):
            return {"match_all": {}}
        case All(conditions):
            return {"bool": {"filter": [_condition(each, kind) for each in conditions]}}
        case Either(()):
            return {"match_none": {}}
        case Either(conditions):
            return {"bool": {"should": [_condition(each, kind) for each in conditions], "minimum_should_match": 1}}


def _sort(field: OrderField, kind: ListKind) -> Query:
    """Return a sort: of times by the millisecond, and with what is missing before everything else."""
    options: Query = {"order": "desc" if field.descending else "asc"}
    if _is_time(field.name, kind):
        options |= {"numeric_type": "date", "unmapped_type": "date"}
    elif field.name in kind.ties:
        options |= {"unmapped_type": "keyword"}
    else:
        options |= {"unmapped_type": "double"}
    if field.name in ("complete_time", "duration_ms"):
        options["missing"] = MISSING_NUMBER
    return {field.name: options}


def _is_time(name: str, kind: ListKind) -> bool:
    return name in kind.fields and kind.fields[name].type is FieldType.TIME


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "*?\\" else character for character in text)
