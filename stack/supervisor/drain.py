"""Letting the edge and the lanes finish what was accepted, before they are stopped.

Each is called once, at the end: what it needs is imported then, so that the supervisor starts quickly.
"""

import time
from pathlib import Path
from typing import Final

from stack.edge.admin import admin_socket
from stack.engines.spec import HOST, StackContext, UnsettledError

_EDGE_DRAIN_S: Final = 5.0
_WAIT_MAX_S: Final = 30.0
_STANDSTILL_S: Final = 10.0  # longer than a lane takes to join its group; then nothing more is to be hoped for
_NEWS_S: Final = 1.5  # the monitor hears of what was accepted last a moment after it was
_INTERVAL_S: Final = 0.1
_CALL_TIMEOUT_S: Final = 2.0
_PAGE_SIZE: Final = 1000
_NAMED_MAX: Final = 5  # correlation IDs in a message
LEFT_FILE: Final = "not-applied.txt"  # a correlation ID a line


def drain_operations(context: StackContext) -> None:
    """Return when no operation is open; wait no longer when none is closed any more for 10 s, and 30 s at most.

    A broker without a disk forgets, when it stops, what its lanes have not answered. Raises UnsettledError where
    something is left, or where the monitor, which knows, does not answer.
    """
    import grpc  # noqa: PLC0415 - see above
    from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceStub  # noqa: PLC0415
    from polystream.v1.operations_pb2 import ListOperationsRequest, Operation  # noqa: PLC0415

    from mesh.direct import GRPC_OPTIONS  # noqa: PLC0415

    request = ListOperationsRequest(state=Operation.ACCEPTED, page_size=_PAGE_SIZE)
    began = changed = time.monotonic()
    before: set[str] = set()
    try:
        with grpc.insecure_channel(f"{HOST}:{context.ports.otlp}", options=GRPC_OPTIONS) as channel:
            log = EventLogServiceStub(channel)
            while time.monotonic() < min(began + _WAIT_MAX_S, changed + _STANDSTILL_S):
                page = log.ListOperations(request, timeout=_CALL_TIMEOUT_S)
                still_open = {operation.correlation_id for operation in page.operations}
                if not still_open and time.monotonic() > began + _NEWS_S:
                    return
                if still_open != before or not still_open:
                    before, changed = still_open, time.monotonic()
                time.sleep(_INTERVAL_S)
    except grpc.RpcError as error:
        raise UnsettledError(
            "the monitor, which knows what is still open, does not answer: commands that were accepted last may be "
            "lost with the broker, which keeps nothing"
        ) from error
    if before:
        raise UnsettledError(what_is_left(sorted(before), context.data_dir / LEFT_FILE))


def what_is_left(open_ids: list[str], file: Path) -> str:
    """Return a sentence on the operations of these correlation IDs; what it has no place for is in the file."""
    count = f"{len(open_ids)} or more" if len(open_ids) == _PAGE_SIZE else str(len(open_ids))
    noun = "command was" if len(open_ids) == 1 else "commands were"
    said = f"{count} {noun} accepted and not applied, and the broker, which keeps nothing, has lost them: "
    if len(open_ids) <= _NAMED_MAX:
        return said + ", ".join(open_ids)
    try:
        file.write_text("\n".join(open_ids) + "\n", encoding="utf-8")
    except OSError:  # as on a full disk: then all of them are said
        return said + ", ".join(open_ids)
    return said + ", ".join(open_ids[:_NAMED_MAX]) + f", …; all of them are in {file}"


def drain_edge(context: StackContext) -> None:
    """Return when no request is under way at the edge, or after 5 s. Raises OSError where Envoy does not answer."""
    import httpx  # noqa: PLC0415 - see above

    from stack.edge.drain import drain  # noqa: PLC0415

    try:
        drain(Path(admin_socket(context.folder("envoy"))), timeout_s=_EDGE_DRAIN_S)
    except httpx.HTTPError as error:
        raise OSError("Envoy's admin socket does not answer") from error
