"""The visualizations, each a question to the event log and how its answer is drawn.

The form is that of Kibana 7's `visState`, which OpenSearch Dashboards 2 has kept. Queries are in Lucene's language,
which both send to the engine as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.records import DEAD_LETTERED, FAILED, RECEIVED, SUCCEEDED

Parameters = Mapping[str, Any]

_METRIC_ID: Final = "1"
_BY_COUNT: Final = {"orderBy": _METRIC_ID, "order": "desc"}
_BY_NAME: Final = {"orderBy": "_key", "order": "asc"}
_TERMS_MAX: Final = 10  # bars or slices
_REASONS_MAX: Final = 50  # rows of a table
_CATEGORY_AXIS: Final = {
    "id": "CategoryAxis-1",
    "type": "category",
    "position": "bottom",
    "show": True,
    "style": {},
    "scale": {"type": "linear"},
    "labels": {"show": True, "filter": True, "truncate": 100},
    "title": {},
}


@dataclass(frozen=True, slots=True)
class Visualization:
    """One visualization: `aggregations` are of the documents that `query` finds."""

    id: str
    title: str
    description: str
    query: str  # Lucene's; empty for all
    type: str  # the products' name of what draws it
    parameters: Parameters  # of what draws it
    aggregations: tuple[Parameters, ...]

    @property
    def state(self) -> dict[str, Any]:
        """Its `visState`."""
        return {
            "title": self.title,
            "type": self.type,
            "aggs": list(self.aggregations),
            "params": {"type": self.type, **self.parameters},
        }


def visualizations() -> tuple[Visualization, ...]:
    """Return all of them."""
    return (
        Visualization(
            id="polystream-commands",
            title="Commands a minute by status",
            description="ACCEPTED counts commands; SUCCEEDED and FAILED count the stores' answers to them",
            query=f'NOT event_type:"{RECEIVED}"',
            type="histogram",
            parameters=_bars("commands a minute", "stacked"),
            aggregations=(_count("commands a minute"), _a_minute("segment"), _terms("3", "group", "status")),
        ),
        Visualization(
            id="polystream-dead-letters",
            title="Dead letters",
            description="Commands that no handler could take",
            query=f'event_type:"{DEAD_LETTERED}"',
            type="metric",
            parameters=_number(),
            aggregations=(_count("dead letters"),),
        ),
        Visualization(
            id="polystream-services",
            title="Events per service",
            description="Where the events come from",
            query="",
            type="pie",
            parameters=_ring(),
            aggregations=(_count("events"), _terms("2", "segment", "service")),
        ),
        Visualization(
            id="polystream-durations",
            title="Milliseconds per store: p50, p95, p99",
            description="From a lane's receipt of a command to its answer",
            query=f'event_type:("{SUCCEEDED}" OR "{FAILED}")',
            type="histogram",
            parameters=_bars("ms", "normal"),
            aggregations=(_percentiles("duration_ms", (50, 95, 99)), _terms("2", "segment", "store", order=_BY_NAME)),
        ),
        Visualization(
            id="polystream-failures",
            title="Failures by store and reason",
            description="Refusals and dead letters; the reasons are those of the API's errors",
            query='status:"FAILED"',
            type="table",
            parameters=_table(),
            aggregations=(
                _count("failures"),
                _terms("2", "bucket", "store", with_missing=True),
                _terms("3", "bucket", "reason", size=_REASONS_MAX, with_missing=True),
            ),
        ),
    )


def _aggregation(number: str, kind: str, schema: str, parameters: Parameters) -> Parameters:
    return {"id": number, "enabled": True, "type": kind, "schema": schema, "params": parameters}


def _count(label: str) -> Parameters:
    return _aggregation(_METRIC_ID, "count", "metric", {"customLabel": label})


def _percentiles(field: str, percents: tuple[int, ...]) -> Parameters:
    return _aggregation(_METRIC_ID, "percentiles", "metric", {"field": field, "percents": list(percents)})


def _terms(
    number: str,
    schema: str,
    field: str,
    *,
    size: int = _TERMS_MAX,
    order: Parameters = _BY_COUNT,
    with_missing: bool = False,
) -> Parameters:
    parameters = {
        "field": field,
        **order,
        "size": size,
        "otherBucket": False,
        "otherBucketLabel": "other",
        "missingBucket": with_missing,
        "missingBucketLabel": "none",
    }
    return _aggregation(number, "terms", schema, parameters)


def _a_minute(schema: str) -> Parameters:
    """Count by minutes; over a time too long to draw them, by longer steps, of which the mean a minute is shown."""
    parameters = {
        "field": "timestamp",
        "interval": "m",
        "scaleMetricValues": True,
        "drop_partials": False,
        "min_doc_count": 1,
        "extended_bounds": {},
    }
    return _aggregation("2", "date_histogram", schema, parameters)


def _bars(label: str, mode: str) -> Parameters:
    axis = {
        "id": "ValueAxis-1",
        "name": "LeftAxis-1",
        "type": "value",
        "position": "left",
        "show": True,
        "style": {},
        "scale": {"type": "linear", "mode": "normal"},
        "labels": {"show": True, "rotate": 0, "filter": False, "truncate": 100},
        "title": {"text": label},
    }
    series = {
        "show": True,
        "type": "histogram",
        "mode": mode,
        "data": {"label": label, "id": _METRIC_ID},
        "valueAxis": "ValueAxis-1",
        "drawLinesBetweenPoints": True,
        "lineWidth": 2,
        "showCircles": True,
    }
    return {
        "grid": {"categoryLines": False},
        "categoryAxes": [_CATEGORY_AXIS],
        "valueAxes": [axis],
        "seriesParams": [series],
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
        "labels": {"show": False},
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
    }


def _ring() -> Parameters:
    labels = {"show": True, "values": True, "last_level": True, "truncate": 100}
    return {"addTooltip": True, "addLegend": True, "legendPosition": "right", "isDonut": True, "labels": labels}


def _number() -> Parameters:
    metric = {
        "percentageMode": False,
        "useRanges": False,
        "colorSchema": "Green to Red",
        "metricColorMode": "None",
        "colorsRange": [{"from": 0, "to": 10_000}],
        "labels": {"show": True},
        "invertColors": False,
        "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 60},
    }
    return {"addTooltip": True, "addLegend": False, "metric": metric}


def _table() -> Parameters:
    return {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "totalFunc": "sum",
        "percentageCol": "",
    }
