"""Tasks of the calls that take time: queries and streams. A command needs none."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from google.protobuf.message import Message

from gateway.calls import Caller, CallError, Calls, Responder, Rpc
from mesh.errors import PolystreamError


class Leaving(Protocol):
    """What tells that a client has left; an Exchange."""

    def on_leave(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the client is gone, if that is before the answer is complete."""


class CallTasks:
    """Runs answers that take time, each until it is complete or its client has left. Belongs to the event loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()  # the event loop alone would let go of them

    def run(self, answering: Coroutine[Any, Any, None], exchange: Leaving) -> None:
        """Begin to answer. `answering` handles its own errors."""
        task = asyncio.get_running_loop().create_task(answering)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        exchange.on_leave(task.cancel)


async def answer_query(
    calls: Calls, rpc: Rpc, decoded: Message | PolystreamError, caller: Caller, responder: Responder
) -> None:
    """Answer a query's caller by the responder, as `Calls.command` does a command's."""
    try:
        correlation_id, response = await calls.query(rpc, decoded, caller)
    except CallError as error:
        responder.fail(error.correlation_id, error.status)
    else:
        responder.succeed(correlation_id, response)
