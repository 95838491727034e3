"""What Schemathesis has to know of the platform beside its OpenAPI document. It is loaded by name, not imported.

Two of the document's formats are the platform's own. Protobuf's JSON mapping reads more than the document offers
(numbers and enum values as text, say): a request that it reads as a valid one is no invalid request. A command is
done when its operation is, which a client awaits before it looks at what the command did.
"""

import json
from datetime import datetime
from functools import cache
from typing import Any, Final

import httpx
import protovalidate
import schemathesis
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, HookContext, Response
from schemathesis.core import NotSet

from mesh.catalog import load_catalog

_QUERY_ALIASES: Final = {"conteudo_id": "content_id"}
_WAIT_TIMEOUT_S: Final = 10

_validator = protovalidate.Validator()


def _cpf(digits: list[int]) -> str:
    if len(set(digits)) == 1:
        digits = [*digits[:-1], (digits[-1] + 1) % 10]  # eleven equal digits are no CPF
    for _ in range(2):
        digits = [*digits, sum(digit * (len(digits) + 1 - i) for i, digit in enumerate(digits)) * 10 % 11 % 10]
    return "".join(map(str, digits))


schemathesis.openapi.format("cpf", st.lists(st.integers(0, 9), min_size=9, max_size=9).map(_cpf))
# Those that the platform takes: records of views from 1970 to 2099.
_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)).map(lambda time: f"{time.isoformat()}Z")  # noqa: DTZ001 - the Z is written

schemathesis.openapi.format("date-time", _TIMES)
schemathesis.openapi.format("page-token", st.just(""))
schemathesis.openapi.format("aip-160-filter", st.sampled_from(("", "duration_ms >= 1.5", 'trace_id = "0*" OR timeout')))
schemathesis.openapi.format("aip-132-order-by", st.sampled_from(("", "duration_ms", " duration_ms  desc")))


@cache
def _request_classes() -> dict[str, Any]:
    methods = [method for service in load_catalog().services for method in service.methods]
    return {method.name: GetMessageClass(method.input_type) for method in methods}


@schemathesis.hook
def filter_case(_context: HookContext, case: Case[Any]) -> bool:
    """Leave out the method QUERY: the parsers of HTTP/1 do not know it, and it is refused before it has a path."""
    return case.method != "QUERY"


def _is_valid(case: Case[Any]) -> bool:
    rpc = str(case.operation.definition.raw["operationId"]).partition("_")[0]
    body = {} if isinstance(case.body, NotSet) else case.body
    if not isinstance(body, dict):
        return False
    outside = {**case.query, **case.path_parameters}
    request = {_QUERY_ALIASES.get(name, name): value for name, value in outside.items()} | body
    message_class = _request_classes()[rpc]
    if any(request.get(name) for name in ("page_token", "filter", "order_by")):
        return False
    if "\\u0000" in json.dumps(request, default=str):
        return False
    # Python's reader takes false for 0.0.
    bools = {field.name for field in message_class.DESCRIPTOR.fields if field.type == field.TYPE_BOOL}
    if any(isinstance(value, bool) and name not in bools for name, value in request.items()):
        return False
    try:
        message = json_format.ParseDict(request, message_class())
    except (json_format.ParseError, TypeError, ValueError):
        return False
    return not _validator.collect_violations(message)


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Call a request valid that is, by protobuf's JSON mapping and the protos' rules, whatever was meant.

    A valid one's whole numbers in path and query are written in digits: 1.0 is an integer to JSON only.
    """
    if case.meta is None:
        return
    if case.meta.generation.mode is GenerationMode.NEGATIVE:
        if not _is_valid(case):
            return
        case.meta.generation.mode = GenerationMode.POSITIVE
        for component in case.meta.components.values():
            component.mode = GenerationMode.POSITIVE
    for values in (case.path_parameters, case.query):
        for name, value in values.items():
            if isinstance(value, float) and value.is_integer():
                values[name] = int(value)


@schemathesis.hook
def after_call(_context: HookContext, case: Case[Any], response: Response) -> None:
    """Wait until what was taken is done."""
    if response.status_code == 200 and case.method != "GET" and b'"state":"ACCEPTED"' in response.content:
        correlation_id = response.headers["x-correlation-id"][0]
        base_url = str(case.operation.base_url).rstrip("/")  # two slashes side by side are no path
        waited = httpx.post(
            f"{base_url}/v1/operations/{correlation_id}:wait",
            json={"timeout": f"{_WAIT_TIMEOUT_S}s"},
            timeout=2 * _WAIT_TIMEOUT_S,
        )
        assert waited.is_success, waited.text
