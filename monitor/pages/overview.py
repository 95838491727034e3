"""The overview: what is wrong now, the platform as a picture, and how much it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from polystream.v1.system_pb2 import Health
from starlette.requests import Request

from mesh.catalog import STORES
from monitor.activity import Activity, Figures, Histogram
from monitor.pages.overview_charts import DEFAULT_SPAN, SPANS, OverviewCharts
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.platform_health import PlatformHealth

INTERVAL_S: Final = 2.0
_NOW_S: Final = 30  # of which rates and latencies are shown
_RECENT_S: Final = 300  # of which failures are told as something wrong
DOORS: Final = (("REST", "rest"), ("gRPC-Web", "rest"), ("gRPC", "grpc"))


@dataclass(frozen=True, slots=True)
class Measured:
    """A part of the picture: how it is, and what it has done in the last half minute."""

    component: Health.Component
    rate_per_s: float | None = None
    latency: Histogram | None = None
    in_flight: float | None = None  # commands

    @property
    def status(self) -> str:
        """The name of its state."""
        return Health.Status.Name(self.component.status)


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """A store's line of the picture."""

    store: str
    lane: Measured
    engine: Measured


class _Overview:
    def __init__(
        self,
        state: PlatformHealth,
        activity: Activity,
        charts: OverviewCharts,
        addresses: Mapping[str, str | None],
    ) -> None:
        self._state = state
        self._activity = activity
        self._charts = charts
        self._doors = [(name, url) for name, part in DOORS if (url := addresses.get(part))]

    async def view(self, request: Request) -> Shown:
        health = await self._state.health()
        components = {component.name: component for component in health.components}
        now = self._activity.lately(_NOW_S)
        span = request.query_params.get("span", DEFAULT_SPAN)
        span = span if span in SPANS else DEFAULT_SPAN
        accepted_per_s = now.accepted / _NOW_S
        measured = await self._charts.measured(span)
        in_flight = await self._charts.in_flight()
        return Shown(
            {
                "status": Health.Status.Name(health.status),
                "sick": [Measured(component) for component in health.components if component.status != Health.HEALTHY],
                "recent": self._activity.lately(_RECENT_S),
                "recent_minutes": _RECENT_S // 60,
                "doors": self._doors,
                "gateway": Measured(_of(components, "gateway"), accepted_per_s, now.acknowledged, in_flight),
                "kafka": Measured(_of(components, "kafka"), accepted_per_s),
                "answers_per_s": now.answered / _NOW_S,
                "registry": Measured(_of(components, "schema_registry")),
                "monitor": Measured(_of(components, "monitor"), None, now.total),
                "lanes": [_lane(store, components, now) for store in STORES],
                "span": span,
                "spans": tuple(SPANS),
                "is_measured": measured.is_known,
                "charts": measured.drawn,
            }
        )


def page(
    state: PlatformHealth, activity: Activity, charts: OverviewCharts, addresses: Mapping[str, str | None]
) -> DashboardPage:
    """Return the page. `addresses` are those of the platform's parts."""
    return DashboardPage("overview", "/", _Overview(state, activity, charts, addresses).view, INTERVAL_S)


def _of(components: Mapping[str, Health.Component], name: str) -> Health.Component:
    return components.get(name) or Health.Component(name=name)


def _lane(store: str, components: Mapping[str, Health.Component], now: Figures) -> LaneFigures:
    figures = now.of(store)
    rate_per_s = figures.answered / _NOW_S
    return LaneFigures(
        store,
        Measured(_of(components, f"lane-{store.lower()}"), rate_per_s, figures.waited),
        Measured(_of(components, store.lower()), rate_per_s, figures.applied),
    )
