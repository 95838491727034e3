"""How the platform is: each engine asked for a sign of life, each part as it tells itself, and not too often."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import httpx
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from polystream.monitor.v1.part_health_pb2 import ListPartHealthResponse
from polystream.v1.system_pb2 import GetHealthRequest, Health

from gateway.queries.stores import Stores
from mesh.direct import http_options
from mesh.errors import PolystreamError
from mesh.health.components import KINDS, HeardPart, overall, part_components
from mesh.health.messages import from_message
from mesh.health.part import PartHealth
from mesh.kafka import QUIET_CONFIG
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.telemetry.logs import describe

Probe = Callable[[], Awaitable[Any]]  # raises where the part does not work

_PROBE_TIMEOUT_S: Final = 1.5
_MAX_AGE_S: Final = 1.0  # of an answer that is given again

log = structlog.stdlib.get_logger(__name__)


class HealthQueries:
    """`polystream.v1.SystemService`."""

    def __init__(
        self,
        probes: Mapping[str, Probe],
        hear: Callable[[], Awaitable[ListPartHealthResponse]],
        own: PartHealth,
        notes: Mapping[str, Callable[[], str]] = MappingProxyType({}),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`hear` asks the monitor how the parts are; `own` is this gateway's part.

        `notes` tell of an engine that works what is to be known of it all the same; by its name.
        """
        self._probes = probes
        self._hear = hear
        self._own = own
        self._notes = notes
        self._now_ms = now_ms
        self._since: dict[str, tuple[Health.Status, int]] = {}  # how each part that was asked is, and since when
        self._asking: asyncio.Task[Health] | None = None
        self._asked_s = 0.0

    @property
    def component_names(self) -> tuple[str, ...]:
        """The names of all components, in their order."""
        return (*self._probes, *KINDS)

    async def get_health(self, _request: GetHealthRequest, _context: Any) -> Health:
        """Return how every part is, within about two seconds. Callers within a second get the same answer."""
        if self._asking is None or (self._asking.done() and time.monotonic() - self._asked_s > _MAX_AGE_S):
            self._asked_s = time.monotonic()
            self._asking = asyncio.create_task(self._ask())
        # A caller who leaves must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Health:
        asking = asyncio.gather(*(_component(name, probe) for name, probe in self._probes.items()))
        engines, parts = await asyncio.gather(asking, self._part_components())
        for component in engines:
            self._date(component)
            if component.status == Health.HEALTHY and component.name in self._notes:
                component.detail = self._notes[component.name]()
        components = [*engines, *parts]
        return Health(status=overall(components), components=components)

    async def _part_components(self) -> list[Health.Component]:
        own = HeardPart(self._own.report(), 0.0)
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                answer = await self._hear()
        except (TimeoutError, PolystreamError):
            return part_components([own], monitor_answers=False)
        heard = []
        for part in answer.parts:
            with suppress(ValueError):
                heard.append(HeardPart(from_message(part.part), part.silence.ToMilliseconds() / 1000))
        others = [part for part in heard if part.report.name != own.report.name]
        return part_components([own, *others], monitor_answers=True)

    def _date(self, component: Health.Component) -> None:
        """Say since when an engine has been as it is, as far as this gateway has asked."""
        status, since_ms = self._since.get(component.name, (Health.STATUS_UNSPECIFIED, 0))
        if status != component.status:
            since_ms = self._now_ms()
            self._since[component.name] = (component.status, since_ms)
        component.since_time.FromMilliseconds(since_ms)


class PlatformProbes:
    """What the engines are asked. Clients that only health needs are made when they are first used."""

    def __init__(self, stores: Stores, kafka: KafkaSettings, registry: RegistrySettings) -> None:
        self._stores = stores
        self._kafka = kafka
        self._registry = registry
        self._admin: AdminClient | None = None
        self._http: httpx.AsyncClient | None = None

    def by_name(self) -> Mapping[str, Probe]:
        """Return one probe an engine."""
        return {
            "kafka": self.ask_kafka,
            "schema_registry": self.ask_registry,
            "postgresql": lambda: self._stores.rows("SELECT 1", ()),
            "mongodb": lambda: self._stores.documents(lambda database: database.command("ping")),
            "redis": lambda: self._stores.keys(lambda client: client.ping()),
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
