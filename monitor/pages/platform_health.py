"""How every part of the platform is now, asked once for all pages that show it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import grpc
from polystream.v1.system_pb2 import GetHealthRequest, Health
from polystream.v1.system_pb2_grpc import SystemServiceStub

from mesh.health.components import GATEWAY, HeardPart, part_components

_TIMEOUT_S: Final = 2.0
_FRESH_S: Final = 1.0  # pages and the JSON that are asked for within a second have the same answer


class PlatformHealth:
    """Asks a gateway for the health of everything. It belongs to the event loop."""

    def __init__(
        self,
        gateway: grpc.aio.Channel,
        parts: Callable[[], Sequence[HeardPart]],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`parts` tells what the monitor has heard of each part."""
        self._system = SystemServiceStub(gateway)
        self._parts = parts
        self._clock_s = clock_s
        self._asking = asyncio.Lock()
        self._known: Health | None = None
        self._known_at_s = 0.0

    async def health(self) -> Health:
        """Return the health of every part as a gateway sees it.

        Where no gateway answers, it is what the monitor has heard of the parts.
        """
        async with self._asking:
            if self._known is None or self._clock_s() - self._known_at_s > _FRESH_S:
                self._known = await self._ask()
                self._known_at_s = self._clock_s()
            return self._known

    async def _ask(self) -> Health:
        try:
            answer: Health = await self._system.GetHealth(GetHealthRequest(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            components = part_components(self._parts(), monitor_answers=True)
            for component in components:
                if component.name == GATEWAY:
                    component.status, component.detail = Health.UNHEALTHY, f"does not answer: {error.code().name}"
            return Health(status=Health.UNHEALTHY, components=components)
        return answer
