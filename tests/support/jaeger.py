"""Asking Jaeger for a trace."""

from typing import Any, Final

import httpx

_TIMEOUT_S: Final = 30.0


def spans_in_jaeger(url: str, trace_id: str) -> list[dict[str, Any]]:
    """Return the spans of a trace as OTLP has them, with the service of each; none where there is no such trace."""
    answer = httpx.get(f"{url}/api/v3/traces/{trace_id}", timeout=_TIMEOUT_S)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return []
    return [
        span | {"service": _service(of_resource)}
        for of_resource in answer.raise_for_status().json()["result"]["resourceSpans"]
        for of_scope in of_resource["scopeSpans"]
        for span in of_scope["spans"]
    ]


def _service(of_resource: dict[str, Any]) -> str:
    attributes = of_resource["resource"]["attributes"]
    return next(str(pair["value"]["stringValue"]) for pair in attributes if pair["key"] == "service.name")
