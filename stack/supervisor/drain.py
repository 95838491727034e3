"""Letting the edge finish what it has begun, and telling what the lanes go on with at the next start.

Each is called once, at the end: what it needs is imported then, so that the supervisor starts quickly.
"""

import time
from pathlib import Path
from typing import Final

from stack.edge.admin import admin_socket
from stack.engines.spec import HOST, StackContext, UnsettledError

_EDGE_DRAIN_S: Final = 5.0
_NEWS_S: Final = 2.0  # the monitor hears of what the lanes have answered last a moment after they did
_INTERVAL_S: Final = 0.1
_CALL_TIMEOUT_S: Final = 2.0
_PAGE_SIZE: Final = 1000
_NAMED_MAX: Final = 5  # correlation IDs in a message


def tell_open_operations(context: StackContext) -> None:
    """Tell, once the lanes have stopped, what they had not done yet: the broker keeps it.

    Raises UnsettledError where something is open still after 2 s. Nothing is told where the monitor does not answer.
    """
    import grpc  # noqa: PLC0415 - see above
    from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceStub  # noqa: PLC0415
    from polystream.v1.operations_pb2 import ListOperationsRequest, Operation  # noqa: PLC0415

    from mesh.direct import GRPC_OPTIONS  # noqa: PLC0415

    request = ListOperationsRequest(state=Operation.ACCEPTED, page_size=_PAGE_SIZE)
    give_up_s = time.monotonic() + _NEWS_S
    open_ids: list[str] = []
    try:
        with grpc.insecure_channel(f"{HOST}:{context.ports.otlp}", options=GRPC_OPTIONS) as channel:
            log = EventLogServiceStub(channel)
            while True:
                page = log.ListOperations(request, timeout=_CALL_TIMEOUT_S)
                open_ids = sorted(operation.correlation_id for operation in page.operations)
                if not open_ids or time.monotonic() > give_up_s:
                    break
                time.sleep(_INTERVAL_S)
    except grpc.RpcError:
        return
    if open_ids:
        raise UnsettledError(what_goes_on(open_ids))


def what_goes_on(open_ids: list[str]) -> str:
    """Return a sentence on the operations of these correlation IDs."""
    count = f"{len(open_ids)} or more" if len(open_ids) == _PAGE_SIZE else str(len(open_ids))
    said = "command is accepted and not applied yet" if count == "1" else "commands are accepted and not applied yet"
    named = ", ".join(open_ids[:_NAMED_MAX]) + (", …" if len(open_ids) > _NAMED_MAX else "")
    return f"{count} {said}: the broker keeps what it has, and the lanes go on with it at the next start ({named})"


def drain_edge(context: StackContext) -> None:
    """Return when no request is under way at the edge, or after 5 s. Raises OSError where Envoy does not answer."""
    import httpx  # noqa: PLC0415 - see above

    from stack.edge.drain import drain  # noqa: PLC0415

    try:
        drain(Path(admin_socket(context.folder("envoy"))), timeout_s=_EDGE_DRAIN_S)
    except httpx.HTTPError as error:
        raise OSError("Envoy's admin socket does not answer") from error
