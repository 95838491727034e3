"""Commands as a lane's store gets them, for tests."""

import itertools
import time
from typing import Final

from google.protobuf.message import Message

from mesh.catalog import load_catalog
from mesh.ids import new_correlation_id
from processor.model import Delivery

_CATALOG: Final = load_catalog()
_OFFSETS: Final = itertools.count()


def deliver(
    request: Message,
    *,
    correlation_id: str | None = None,
    partition: int = 0,
    offset: int | None = None,
    accept_time_ms: int | None = None,
) -> Delivery:
    """Return the delivery of a request's command, each with the next offset where none is given."""
    command = next(c for c in _CATALOG.commands.values() if c.request_class is type(request))
    now_ns = time.time_ns()
    return Delivery(
        correlation_id=correlation_id or new_correlation_id(),
        command=command,
        request=request,
        key=command.key_of(request).encode(),
        partition=partition,
        offset=next(_OFFSETS) if offset is None else offset,
        accept_time_ms=now_ns // 1_000_000 if accept_time_ms is None else accept_time_ms,
        receive_time_ns=now_ns,
        trace=None,
    )
