"""The platform's own parts as components of its health: the reports of each kind of part, summed up in one."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from polystream.options.v1.options_pb2 import Store
from polystream.v1.system_pb2 import Health

from mesh.health.report import HealthState, Lag, PartReport

MAX_SILENCE_S: Final = 6.0  # a part reports every two seconds
_STORES: Final = tuple(name.lower() for name, number in Store.items() if number)
GATEWAY: Final = "gateway"
MONITOR: Final = "monitor"
LANES: Final = tuple(f"lane-{store}" for store in _STORES)
KINDS: Final = (*LANES, MONITOR, GATEWAY)

_UNHEARD: Final = "the monitor, which hears of the lanes, does not answer"
_MAX_CAUSES: Final = 5
_MAX_LAG_RECORDS: Final = 2**31 - 1


class HeardPart(NamedTuple):
    """A part's newest report, and how long ago the monitor heard it."""

    report: PartReport
    silence_s: float

    @property
    def is_silent(self) -> bool:
        """Whether it has not been heard of for too long."""
        return self.silence_s > MAX_SILENCE_S

    @property
    def state(self) -> HealthState:
        """How it is; what is not heard of does not work."""
        return HealthState.UNHEALTHY if self.is_silent else self.report.state

    @property
    def cause(self) -> str:
        """Why it is not HEALTHY."""
        return f"not heard of for {self.silence_s:.0f} s" if self.is_silent else self.report.cause


def part_components(parts: Sequence[HeardPart], *, monitor_answers: bool) -> list[Health.Component]:
    """Return a component for each kind of part; one of which no part is heard is UNHEALTHY."""
    components = []
    for kind in KINDS:
        of_kind = [part for part in parts if part.report.kind == kind]
        if of_kind:
            components.append(_component(kind, of_kind))
        elif kind in {MONITOR, GATEWAY}:
            components.append(_missing(kind, "does not answer"))
        elif not monitor_answers:
            components.append(_missing(kind, _UNHEARD))
        else:
            components.append(_missing(kind, f"no lane of {kind.removeprefix('lane-')} reports"))
    return components


def overall(components: Sequence[Health.Component]) -> Health.Status:
    """Return how the whole is: HEALTHY when every part is, DEGRADED when a part is not, UNHEALTHY when none works."""
    statuses = {component.status for component in components}
    if statuses == {Health.HEALTHY}:
        return Health.HEALTHY
    return Health.UNHEALTHY if statuses == {Health.UNHEALTHY} else Health.DEGRADED


def _missing(kind: str, detail: str) -> Health.Component:
    return Health.Component(name=kind, status=Health.UNHEALTHY, detail=detail)


def _component(kind: str, parts: Sequence[HeardPart]) -> Health.Component:
    """Sum up the parts of one kind: what is wrong with one of them degrades it, while another one works."""
    states = {part.state for part in parts}
    status = (states.pop() if len(states) == 1 else HealthState.DEGRADED).value
    component = Health.Component(name=kind, status=status)
    sick = [part for part in parts if part.state is not HealthState.HEALTHY]
    causes = [_told(part, of_many=len(parts) > 1) for part in sick[:_MAX_CAUSES]]
    notes = sorted({part.report.note for part in parts if part.report.note and not part.is_silent})
    component.detail = "; ".join([*causes, *notes[:_MAX_CAUSES]])
    # Sick since the first of them was, well since the last of them was.
    times_ms = [part.report.since_ms for part in sick or parts]
    component.since_time.FromMilliseconds(min(times_ms) if sick else max(times_ms))
    lags = [part.report.lag for part in parts if part.report.lag is not None and not part.is_silent]
    if lags:
        _set_lag(component, lags)
    return component


def _told(part: HeardPart, *, of_many: bool) -> str:
    return f"{part.report.name}: {part.cause}" if of_many else part.cause


def _set_lag(component: Health.Component, lags: Sequence[Lag]) -> None:
    component.lag_records = min(sum(lag.records for lag in lags), _MAX_LAG_RECORDS)
    component.oldest_command_age.FromMilliseconds(max(lag.oldest_age_ms for lag in lags))
