"""Sends a command or a query from a form, through a gateway, and follows it.

The browser asks the monitor alone, which calls the gateway: the pages' policy lets them ask nobody else, and a page of
elsewhere can send nothing here, since its origin is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_status import rpc_status
from starlette.requests import Request

from mesh.catalog import Catalog
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.proto_json import to_dict
from monitor.pages.calls import call_of, method_of
from monitor.pages.forms import form_fields, read_form, with_placeholders, without_personal
from monitor.pages.frame import LIVE_PREFIX
from monitor.pages.masking import masked
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.request_body import said_in

_TIMEOUT_S: Final = 10.0
_START: Final = "CreatePayment"
AGAIN: Final = "again"  # in the address of a form that is filled with what was sent before


class _Send:
    def __init__(self, catalog: Catalog, gateway: grpc.aio.Channel, addresses: Mapping[str, str | None]) -> None:
        self._catalog = catalog
        self._gateway = gateway
        self._addresses = addresses
        self._methods = {
            service.name.removesuffix("Service"): [
                (method.name, method.name in catalog.commands)
                for method in service.methods
                if not method.server_streaming
            ]
            for service in catalog.services
        }

    async def view(self, request: Request) -> Shown:
        rpc = request.path_params.get("rpc") or _START
        found = method_of(self._catalog, rpc)
        if found is None or found[1].server_streaming:
            raise PolystreamError(Reason.UNKNOWN_PATH)
        service, method = found
        fields = form_fields(method.input_type)
        values = {
            "rpc": rpc,
            "is_command": rpc in self._catalog.commands,
            "methods": self._methods,
            "fields": fields,
            "said": {field.name: field.example for field in fields},
            "faults": {},
            "error": None,
            "answer": None,
            "operation_id": "",
            "calls": None,
            "is_again": False,
        }
        if request.method != "POST":
            return Shown(values | self._again(method, request.query_params))
        said = await said_in(request)
        return await self._send(service, method, {**values, "said": without_personal(method.input_type, said)}, said)

    def _again(self, method: MethodDescriptor, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the form of a command that is to be sent again: filled with what the address says."""
        if AGAIN not in query:
            return {}
        return {"said": without_personal(method.input_type, query), "is_again": True}

    async def _send(
        self, service: ServiceDescriptor, method: MethodDescriptor, values: dict[str, Any], said: Mapping[str, str]
    ) -> Shown:
        message = GetMessageClass(method.input_type)()
        fields, unreadable = read_form(message, said)
        shown = with_placeholders(method.input_type, fields)
        values["calls"] = call_of(self._catalog, method.name, shown, self._addresses)
        if unreadable:
            return _refused(values, PolystreamError(Reason.INVALID_FIELD, faults=unreadable))
        answer_class = GetMessageClass(method.output_type)
        call: Any = self._gateway.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=answer_class.FromString,
        )
        try:
            answer: Any = await call(message, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return _refused(values, _error(error))
        if values["is_command"]:
            values["operation_id"] = answer.correlation_id
            values["live_address"] = f"{LIVE_PREFIX}/operations/{answer.correlation_id}/stream"
        else:
            values["answer"] = masked(answer, to_dict(answer))
        return Shown(values)


def pages(catalog: Catalog, gateway: grpc.aio.Channel, addresses: Mapping[str, str | None]) -> Sequence[DashboardPage]:
    """Return the page, and the same for each RPC. `addresses` are those of the platform's parts."""
    view = _Send(catalog, gateway, addresses).view
    return (
        DashboardPage("send", "/send", view),
        DashboardPage("send", "/send/{rpc}", view, in_navigation=False, methods=("GET", "POST")),
    )


def _error(error: grpc.aio.AioRpcError) -> PolystreamError:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has a call's code, details and metadata
    if status is None:
        return PolystreamError(Reason.INTERNAL, f"the gateway does not answer: {error.code().name}")
    return PolystreamError.from_status(status, unknown=Reason.INTERNAL)


def _refused(values: dict[str, Any], error: PolystreamError) -> Shown:
    faults: dict[str, list[FieldFault]] = {}
    for fault in error.faults:
        faults.setdefault(fault.field.partition(".")[0].partition("[")[0], []).append(fault)
    return Shown({**values, "error": error, "faults": faults})
