"""Reading the saved objects as OpenSearch Dashboards and Kibana do, for tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SavedObject = Mapping[str, Any]

FILE: Final = Path(__file__).parents[2] / "deploy" / "compose" / "dashboards" / "polystream.ndjson"
MISSING: Final = "__missing__"  # what both products count documents without the field under


def read_file() -> list[SavedObject]:
    """Return the objects of the file that is in the repository."""
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def of_type(kind: str) -> list[SavedObject]:
    """Return the file's objects of one type."""
    return [saved for saved in read_file() if saved["type"] == kind]


def aggregations(visualization: SavedObject) -> list[Mapping[str, Any]]:
    """Return what a visualization aggregates, buckets and metrics in its order."""
    return list(json.loads(visualization["attributes"]["visState"])["aggs"])


def query(saved: SavedObject, **times: str) -> Mapping[str, Any]:
    """Return the query of a search or visualization over a range of `timestamp`, as the products send it."""
    source = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert source["query"]["language"] == "lucene"
    text = source["query"]["query"]
    filters: list[Mapping[str, Any]] = [{"range": {"timestamp": times}}]
    if text:
        filters.append({"query_string": {"query": text, "analyze_wildcard": True}})
    return {"bool": {"filter": filters}}


def aggregation_request(visualization: SavedObject) -> dict[str, Any]:
    """Return the aggregations of a visualization in the engine's language: each bucket in the one before it."""
    metrics: dict[str, Any] = {}
    buckets = []
    for part in aggregations(visualization):
        if part["schema"] == "metric":
            metrics |= _metric(part)
        else:
            buckets.append(part)
    request = metrics
    for part in reversed(buckets):
        request = {part["id"]: _bucket(part) | ({"aggs": request} if request else {})}
    return request


def _metric(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "count":
        return {}  # every bucket says how many documents it has
    assert part["type"] == "percentiles"
    return {part["id"]: {"percentiles": {**part["params"], "keyed": True}}}


def _bucket(part: Mapping[str, Any]) -> dict[str, Any]:
    parameters = part["params"]
    if part["type"] == "date_histogram":
        interval = {"m": "1m"}[parameters["interval"]]
        return {
            "date_histogram": {
                "field": parameters["field"],
                "fixed_interval": interval,
                "time_zone": "UTC",
                "min_doc_count": parameters["min_doc_count"],
            }
        }
    assert part["type"] == "terms"
    by = "_key" if parameters["orderBy"] == "_key" else "_count"
    terms = {"field": parameters["field"], "size": parameters["size"], "order": {by: parameters["order"]}}
    return {"terms": terms | ({"missing": MISSING} if parameters["missingBucket"] else {})}
