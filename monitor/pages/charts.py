"""Line charts as SVG, drawn here: no library that is kept up and comes as a package draws them without a script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitor.pages.language import NONE

WIDTH: Final = 600
HEIGHT: Final = 100
_RULES: Final = 4  # the axis is in as many parts


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a value for each step, None where nothing was measured. `look` is a class of the style sheet."""

    name: str
    look: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line as the template shows it."""

    name: str
    look: str
    path: str
    latest: str


@dataclass(frozen=True, slots=True)
class ChartStep:
    """A step of time, with what is told of it."""

    x: float
    width: float
    told: str


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A step's values in the table."""

    at: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the macro `chart` of `parts.html` shows it."""

    name: str
    title: str
    unit: str
    lines: Sequence[DrawnLine]
    scale: Sequence[str]  # from the top
    rules: str
    steps: Sequence[ChartStep]
    rows: Sequence[ChartRow]
    begin: str
    end: str
    told: str
    width: int = WIDTH
    height: int = HEIGHT


def draw(
    name: str,
    title: str,
    unit: str,
    *,
    times_s: Sequence[int],
    step_s: int,
    lines: Sequence[Line],
    write: Callable[[float | None], str],
) -> Chart:
    """Draw lines over steps of time, which begin at `times_s`, in seconds since the epoch. `write` writes a value."""
    top = _round_up(max((value for line in lines for value in line.values if value is not None), default=0))
    width = WIDTH / max(len(times_s), 1)
    written = [[write(line.values[place]) for line in lines] for place in range(len(times_s))]
    names = [line.name for line in lines]
    latest = written[-1] if written else [NONE] * len(lines)
    return Chart(
        name=name,
        title=title,
        unit=unit,
        lines=[
            DrawnLine(line.name, line.look, _path(line.values, width, top), last)
            for line, last in zip(lines, latest, strict=True)
        ],
        scale=[write(top * rule / _RULES) for rule in range(_RULES, -1, -1)],
        rules="".join(f"M0 {HEIGHT * rule / _RULES:g}H{WIDTH}" for rule in range(_RULES + 1)),
        steps=[
            ChartStep(round(place * width, 2), round(width, 2), f"{_iso(at_s)[11:19]} UTC: {_told(names, values)}")
            for place, (at_s, values) in enumerate(zip(times_s, written, strict=True))
        ],
        rows=[ChartRow(_iso(at_s), values) for at_s, values in zip(reversed(times_s), reversed(written), strict=True)],
        begin=_iso(times_s[0]) if times_s else "",
        end=_iso(times_s[-1] + step_s) if times_s else "",
        told=f"{title}: {_told(names, latest)}",
    )


def _told(names: Sequence[str], values: Sequence[str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _path(values: Sequence[float | None], width: float, top: float) -> str:
    path, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = (place + 0.5) * width, HEIGHT - HEIGHT * min(value / top, 1)
        # A point between two gaps is a line of no length, which has to have a begin.
        path.append(f"{pen}{x:.1f} {y:.1f}" + (f"h{width / 2:.1f}" if pen == "M" else ""))
        pen = "L"
    return "".join(path)


def _round_up(value: float) -> float:
    """Return the next number that is 1, 2, 4, 6 or 8 times a power of ten: the rules are at round numbers then."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value > 0 and power > 0.001:
        power /= 10
    return next((power * step for step in (1, 2, 4, 6, 8) if power * step >= value), power * 10) or 1.0


def _iso(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
