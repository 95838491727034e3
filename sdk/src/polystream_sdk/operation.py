"""The operation of a command, from its acceptance to its result."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Generic, TypeVar

from betterproto2 import Message

from polystream_api.message_pool import default_message_pool
from polystream_api.polystream.v1 import (
    GetOperationRequest,
    Operation,
    OperationServiceStub,
    OperationState,
    WaitOperationRequest,
    WatchOperationRequest,
)
from polystream_sdk.calls import Calls
from polystream_sdk.errors import DataLossError, DeadlineExceededError, NotFoundError, error_of
from polystream_sdk.requests import checked_timeout

ResultT = TypeVar("ResultT", bound=Message)
_WAIT_MAX_S = 30.0  # of one call; the platform allows 60
_WAIT_GRACE_S = 5.0  # what one call may take beyond the wait that it asks for


class OperationHandle(Generic[ResultT]):
    """A command that was accepted.

    `message` is the operation as it was last seen: `wait`, `watch`, `refresh` and `result` see it anew. Each may
    be used any number of times, also at once.
    """

    def __init__(self, calls: Calls, message: Operation, result_type: type[ResultT] | None) -> None:
        """`result_type` is what the result has to be; None takes any message of the API."""
        self.message = message
        self._calls = calls
        self._result_type = result_type

    def __repr__(self) -> str:
        return f"<OperationHandle {self.message.command} {self.correlation_id} {self.state}>"

    @property
    def correlation_id(self) -> str:
        """Identifies the command everywhere: topics, stores, events, spans."""
        return self.message.correlation_id

    @property
    def state(self) -> OperationState:
        """Where it had got to when last seen."""
        return self.message.state

    @property
    def done(self) -> bool:
        """Whether it has succeeded or failed."""
        return self.state in (OperationState.SUCCEEDED, OperationState.FAILED)

    async def refresh(self, *, timeout_s: float | None = None) -> Operation:
        """Read the operation and return it. Raises PolystreamError."""
        request = GetOperationRequest(correlation_id=self.correlation_id)
        return self._seen(await self._calls.unary(self._stub.get_operation, request, timeout_s=timeout_s))

    async def wait(self, *, timeout_s: float | None = None) -> Operation:
        """Wait until it is done, or `timeout_s` has passed, and return it as it then stands. Raises PolystreamError.

        `timeout_s` is the client's `wait_timeout_s` when None.
        """
        checked_timeout("timeout_s", timeout_s)
        end_s = time.monotonic() + (self._calls.wait_timeout_s if timeout_s is None else timeout_s)
        while not self.done and (left_s := end_s - time.monotonic()) > 0:
            wait_s = min(left_s, _WAIT_MAX_S)
            request = WaitOperationRequest(correlation_id=self.correlation_id, timeout=timedelta(seconds=wait_s))
            method = self._stub.wait_operation
            self._seen(await self._calls.unary(method, request, timeout_s=wait_s + _WAIT_GRACE_S))
        return self.message

    async def watch(self, *, timeout_s: float | None = None) -> AsyncIterator[Operation]:
        """Yield the operation as it stands, then after every change, until it is done. Raises PolystreamError.

        Where the connection is lost, it goes on with another; no state is yielded twice. After `timeout_s`, the
        client's `wait_timeout_s` when None, it raises DeadlineExceededError.
        """
        request = WatchOperationRequest(correlation_id=self.correlation_id)
        last: Operation | None = None
        async for message in self._calls.stream(
            self._stub.watch_operation, request, timeout_s=timeout_s, resumable=True
        ):
            if message != last:
                last = self._seen(message)
                yield message

    async def result(self, *, timeout_s: float | None = None) -> ResultT:
        """Wait until it is done, and return what the command made or changed. Raises PolystreamError.

        An operation that failed raises its error, which then has it as `operation`; one that is not done after
        `timeout_s`, the client's `wait_timeout_s` when None, raises DeadlineExceededError and goes on.
        """
        message = await self.wait(timeout_s=timeout_s)
        if not self.done:
            raise DeadlineExceededError(
                "the operation is not done yet; it goes on, and can be waited for again", operation=message
            )
        if self.state == OperationState.FAILED:
            status = message.error
            code, text = (status.code, status.message) if status else (0, "the operation failed and does not say how")
            raise error_of(code, text, status, message)
        return self._result(message)

    def _result(self, message: Operation) -> ResultT:
        if message.result is None or not message.result.type_url:
            raise NotFoundError("the operation has succeeded, and its result is no longer kept", operation=message)
        found = default_message_pool.url_to_type.get(message.result.type_url)
        if found is None or (self._result_type is not None and found is not self._result_type):
            raise DataLossError(f"the result is of another type: {message.result.type_url}", operation=message)
        result: ResultT = found.FromString(message.result.value)  # type: ignore[assignment] # as was just compared
        return result

    @property
    def _stub(self) -> OperationServiceStub:
        return OperationServiceStub(self._calls.channel)

    def _seen(self, message: Operation) -> Operation:
        self.message = message
        return message
