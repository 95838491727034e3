"""The overview: what is wrong now, the platform as a picture, and how much it does."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polystream.v1.system_pb2 import Health
from starlette.requests import Request

from mesh.catalog import STORES
from monitor.activity import Activity, Figures, Histogram
from monitor.pages.charts import Chart, Line, draw
from monitor.pages.language import NONE, Language
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.platform_health import PlatformHealth

INTERVAL_S: Final = 2.0
_NOW_S: Final = 30  # of which rates and latencies are shown
_RECENT_S: Final = 300  # of which failures are told as something wrong
# By the name in the address: how long, and the steps of the charts, in seconds.
SPANS: Final[Mapping[str, tuple[int, int]]] = {
    "5m": (300, 5),
    "15m": (900, 15),
    "1h": (3600, 60),
    "6h": (21_600, 300),
    "24h": (86_400, 1200),
}
DEFAULT_SPAN: Final = "15m"
DOORS: Final = (("REST", "rest"), ("gRPC-Web", "rest"), ("gRPC", "grpc"))


@dataclass(frozen=True, slots=True)
class Measured:
    """A part of the picture: how it is, and what it has done in the last half minute."""

    component: Health.Component
    rate_per_s: float | None = None
    latency: Histogram | None = None

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
    def __init__(self, state: PlatformHealth, activity: Activity, addresses: Mapping[str, str | None]) -> None:
        self._state = state
        self._activity = activity
        self._doors = [(name, url) for name, part in DOORS if (url := addresses.get(part))]

    async def view(self, request: Request) -> Shown:
        health = await self._state.health()
        components = {component.name: component for component in health.components}
        now = self._activity.lately(_NOW_S)
        recent = self._activity.lately(_RECENT_S)
        span = request.query_params.get("span", DEFAULT_SPAN)
        span = span if span in SPANS else DEFAULT_SPAN
        return Shown(
            {
                "status": Health.Status.Name(health.status),
                "sick": [Measured(component) for component in health.components if component.status != Health.HEALTHY],
                "recent": recent,
                "recent_minutes": _RECENT_S // 60,
                "doors": self._doors,
                "gateway": Measured(_of(components, "gateway"), now.accepted / _NOW_S, now.acknowledged),
                "kafka": Measured(_of(components, "kafka"), now.accepted / _NOW_S),
                "answers_per_s": now.answered / _NOW_S,
                "dead_letters": recent.dead_letters,
                "registry": Measured(_of(components, "schema_registry")),
                "monitor": Measured(_of(components, "monitor"), None, now.total),
                "lanes": [_lane(store, components, now) for store in STORES],
                "span": span,
                "spans": tuple(SPANS),
                "since_s": self._activity.since_s,
                "charts": lambda language: self._charts(language, *SPANS[span]),
            }
        )

    def _charts(self, language: Language, length_s: int, step_s: int) -> Sequence[Chart]:
        series = self._activity.series(time.time() - length_s, step_s)[:-1]  # the step of now is not whole yet
        times = [at_s for at_s, _ in series]
        figures = [each for _, each in series]
        # Nothing is known of what was before the monitor started.
        known = [at_s + step_s > self._activity.since_s for at_s in times]

        def line(name: str, look: str, values: Sequence[float | None]) -> Line:
            kept = [value if is_known else None for value, is_known in zip(values, known, strict=True)]
            return Line(language.text(name), look, kept)

        def rate(value: float | None) -> str:
            return NONE if value is None else language.number(value, 0 if value >= 100 or value == 0 else 1)

        p50 = [each.total.quantile_ms(0.5) for each in figures]
        p99 = [each.total.quantile_ms(0.99) for each in figures]
        return (
            draw(
                "throughput",
                language.text("overview.throughput"),
                language.text("overview.per_second"),
                times_s=times,
                step_s=step_s,
                lines=[
                    line("overview.accepted", "look-main", [each.accepted / step_s for each in figures]),
                    line("overview.answered", "look-second", [each.answered / step_s for each in figures]),
                ],
                write=rate,
            ),
            draw(
                "latency",
                language.text("overview.latency"),
                language.text("overview.milliseconds"),
                times_s=times,
                step_s=step_s,
                lines=[line("overview.p50", "look-main", p50), line("overview.p99", "look-second", p99)],
                write=language.milliseconds,
            ),
            draw(
                "errors",
                language.text("overview.errors"),
                language.text("overview.per_minute"),
                times_s=times,
                step_s=step_s,
                lines=[
                    line("overview.refused", "look-main", [each.failed * 60 / step_s for each in figures]),
                    line("overview.dead_letters", "look-bad", [each.dead_letters * 60 / step_s for each in figures]),
                ],
                write=rate,
            ),
        )


def page(state: PlatformHealth, activity: Activity, addresses: Mapping[str, str | None]) -> DashboardPage:
    """Return the page. `addresses` are those of the platform's parts."""
    return DashboardPage("overview", "/", _Overview(state, activity, addresses).view, INTERVAL_S)


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
