"""How the platform is: each part asked for a sign of life, all at once, and not too often."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from polystream.v1.system_pb2 import GetHealthRequest, Health

from gateway.operations.event_log import EventLogClient
from gateway.queries.stores import Stores
from mesh.direct import http_options
from mesh.errors import PolystreamError
from mesh.kafka import QUIET_CONFIG
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.telemetry.logs import describe

Probe = Callable[[], Awaitable[Any]]  # raises where the part does not work

_PROBE_TIMEOUT_S: Final = 1.5
_MAX_AGE_S: Final = 1.0  # of an answer that is given again
_NOBODY: Final = str(uuid.UUID(int=0))  # an operation that there is not

log = structlog.stdlib.get_logger(__name__)


class HealthQueries:
    """`polystream.v1.SystemService`."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._asking: asyncio.Task[Health] | None = None
        self._asked_s = 0.0

    async def get_health(self, _request: GetHealthRequest, _context: Any) -> Health:
        """Return how every part is, within about two seconds. Callers within a second get the same answer."""
        if self._asking is None or (self._asking.done() and time.monotonic() - self._asked_s > _MAX_AGE_S):
            self._asked_s = time.monotonic()
            self._asking = asyncio.create_task(self._ask())
        # A caller who leaves must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Health:
        components = await asyncio.gather(*(_component(name, probe) for name, probe in self._probes.items()))
        return Health(status=_overall(components), components=components)


class PlatformProbes:
    """What the parts are asked. Clients that only health needs are made when they are first used."""

    def __init__(
        self, stores: Stores, event_log: EventLogClient, kafka: KafkaSettings, registry: RegistrySettings
    ) -> None:
        self._stores = stores
        self._event_log = event_log
        self._kafka = kafka
        self._registry = registry
        self._admin: AdminClient | None = None
        self._http: httpx.AsyncClient | None = None

    def by_name(self) -> Mapping[str, Probe]:
        """Return one probe a part."""
        return {
            "kafka": self.ask_kafka,
            "schema_registry": self.ask_registry,
            "postgresql": lambda: self._stores.rows("SELECT 1", ()),
            "mongodb": lambda: self._stores.documents(lambda database: database.command("ping")),
            "redis": lambda: self._stores.keys(lambda client: client.ping()),
            "monitor": lambda: self._event_log.get(_NOBODY),
        }

    async def ask_kafka(self) -> None:
        """Ask for the brokers. Raises KafkaException."""
        if self._admin is None:
            self._admin = AdminClient({**self._kafka.client_config("gateway-health"), **QUIET_CONFIG})
        await asyncio.to_thread(self._admin.list_topics, timeout=_PROBE_TIMEOUT_S)

    async def ask_registry(self) -> None:
        """Ask for the registry's configuration. Raises httpx.HTTPError."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._registry.url,
                timeout=_PROBE_TIMEOUT_S,
                **http_options(ca_file=self._registry.ca_file, proxy_url=self._registry.proxy_url),
            )
        (await self._http.get("/config")).raise_for_status()

    async def close(self) -> None:
        """Close the clients made here."""
        if self._http is not None:
            await self._http.aclose()


def _overall(components: Sequence[Health.Component]) -> Health.Status:
    healthy = [component.status == Health.HEALTHY for component in components]
    if all(healthy):
        return Health.HEALTHY
    return Health.DEGRADED if any(healthy) else Health.UNHEALTHY


async def _component(name: str, probe: Probe) -> Health.Component:
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            await probe()
    except (TimeoutError, KafkaException, PolystreamError, httpx.HTTPError):
        return Health.Component(name=name, status=Health.UNHEALTHY, detail="does not answer")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one part, the others are told of
        log.warning("a part answers with an error", part=name, error=describe(error))
        return Health.Component(name=name, status=Health.UNHEALTHY, detail="answers with an error; see the logs")
    return Health.Component(name=name, status=Health.HEALTHY)
