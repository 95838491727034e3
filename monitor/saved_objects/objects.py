"""The saved objects: one file of JSON lines that OpenSearch Dashboards 2 and Kibana 7.17 both take.

They have the form of version 7.10, where the two parted: Kibana brings it up to date as it imports it, and OpenSearch
Dashboards refuses what says that it is newer.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from monitor.saved_objects.visualizations import Visualization, visualizations
from monitor.store.templates import index_templates

SavedObject = Mapping[str, Any]

FILE_NAME: Final = "polystream.ndjson"
INDEX_PATTERN: Final = "api_*"
INDEX_PATTERN_ID: Final = "polystream-api"
TIME_FIELD: Final = "timestamp"
_SEARCH_ID: Final = "polystream-story"
_DASHBOARD_ID: Final = "polystream"
_COLUMNS: Final = ("event_type", "service", "store", "status", "duration_ms", "error")
_VERSIONS: Final = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
_PANEL_VERSION: Final = "7.10.0"
_INDEX_REFERENCE: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
# Where a panel stands on a grid of 48 columns: x, y, width, height.
_PLACES: Final = {
    "polystream-commands": (0, 0, 36, 15),
    "polystream-dead-letters": (36, 0, 12, 15),
    "polystream-durations": (0, 15, 20, 15),
    "polystream-services": (20, 15, 12, 15),
    "polystream-failures": (32, 15, 16, 15),
    _SEARCH_ID: (0, 30, 48, 20),
}
_KINDS: Final = {  # of a field, as the products call them, by the type in the mapping
    "keyword": "string",
    "date": "date",
    "date_nanos": "date",
    "boolean": "boolean",
    "integer": "number",
    "long": "number",
    "double": "number",
}
# Not `1,234`, which is how numbers are shown otherwise.
_PLAIN_NUMBERS: Final = ("partition", "offset", "accept_time_us")


def saved_objects() -> list[SavedObject]:
    """Return every object, each after those that it refers to."""
    drawn = [_visualization(visualization) for visualization in visualizations()]
    return [_index_pattern(), *drawn, _search(), _dashboard()]


def to_ndjson(objects: Iterable[SavedObject]) -> str:
    """Return objects as a file that can be imported."""
    return "".join(f"{json.dumps(saved, ensure_ascii=False, sort_keys=True)}\n" for saved in objects)


def _object(
    kind: str, identifier: str, attributes: Mapping[str, Any], *references: tuple[str, str, str]
) -> SavedObject:
    return {
        "id": identifier,
        "type": kind,
        "attributes": attributes,
        "migrationVersion": {kind: _VERSIONS[kind]},
        "references": [{"name": name, "type": of, "id": to} for name, of, to in references],
    }


def _index_pattern() -> SavedObject:
    """Return the pattern with its fields: a server that has to look for them remembers those it found too early."""
    formats = {name: {"id": "number", "params": {"pattern": "0"}} for name in _PLAIN_NUMBERS}
    return _object(
        "index-pattern",
        INDEX_PATTERN_ID,
        {
            "title": INDEX_PATTERN,
            "timeFieldName": TIME_FIELD,
            "fields": json.dumps([*_meta_fields(), *_mapped_fields()]),
            "fieldFormatMap": json.dumps(formats),
        },
    )


def _mapped_fields() -> list[Mapping[str, Any]]:
    """Return the fields of every index that the pattern fits."""
    of_all = [template["template"]["mappings"]["properties"] for template in index_templates().values()]
    # What is not searched is no field here.
    mapped = {name: field for fields in of_all for name, field in fields.items() if field["type"] in _KINDS}
    return [
        _field(name, _KINDS[it["type"]], it["type"], searched=True, counted=it.get("doc_values", True))
        for name, it in sorted(mapped.items())
    ]


def _meta_fields() -> list[Mapping[str, Any]]:
    return [
        _field("_id", "string", "_id", searched=False, counted=False),
        _field("_index", "string", "_index", searched=False, counted=False),
        _field("_source", "_source", "_source", searched=False, counted=False),
    ]


def _field(name: str, kind: str, engine_type: str, *, searched: bool, counted: bool) -> Mapping[str, Any]:
    return {
        "name": name,
        "type": kind,
        "esTypes": [engine_type],
        "count": 0,
        "scripted": False,
        "searchable": searched,
        "aggregatable": counted,
        "readFromDocValues": counted,
    }


def _visualization(drawn: Visualization) -> SavedObject:
    return _object(
        "visualization",
        drawn.id,
        {
            "title": drawn.title,
            "description": drawn.description,
            "visState": json.dumps(drawn.state),
            "uiStateJSON": "{}",
            "version": 1,
            "kibanaSavedObjectMeta": _source(drawn.query),
        },
        (_INDEX_REFERENCE, "index-pattern", INDEX_PATTERN_ID),
    )


def _search() -> SavedObject:
    return _object(
        "search",
        _SEARCH_ID,
        {
            "title": "One story by correlation ID",
            "description": "Put a correlation ID in the place of the * to read its command's story from the top",
            "columns": list(_COLUMNS),
            "sort": [[TIME_FIELD, "asc"]],
            "hits": 0,
            "version": 1,
            "kibanaSavedObjectMeta": _source("correlation_id:*", highlightAll=True, version=True),
        },
        (_INDEX_REFERENCE, "index-pattern", INDEX_PATTERN_ID),
    )


def _source(query: str, **others: bool) -> Mapping[str, str]:
    source = {"query": {"query": query, "language": "lucene"}, "filter": [], "indexRefName": _INDEX_REFERENCE}
    return {"searchSourceJSON": json.dumps(source | others)}


def _dashboard() -> SavedObject:
    panels = [
        {
            "version": _PANEL_VERSION,
            "panelIndex": str(number),
            "gridData": {"x": x, "y": y, "w": width, "h": height, "i": str(number)},
            "panelRefName": f"panel_{number}",
            "embeddableConfig": {},
        }
        for number, (x, y, width, height) in enumerate(_PLACES.values())
    ]
    shown = (
        (f"panel_{number}", "search" if identifier == _SEARCH_ID else "visualization", identifier)
        for number, identifier in enumerate(_PLACES)
    )
    no_query = {"query": {"query": "", "language": "lucene"}, "filter": []}
    return _object(
        "dashboard",
        _DASHBOARD_ID,
        {
            "title": "Polystream",
            "description": "Commands, failures, durations and stories of the platform",
            "panelsJSON": json.dumps(panels),
            "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
            "hits": 0,
            "version": 1,
            "timeRestore": True,
            "timeFrom": "now-1h",
            "timeTo": "now",
            "refreshInterval": {"pause": False, "value": 10_000},
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(no_query)},
        },
        *shown,
    )
