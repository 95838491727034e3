"""How `top` looks: two tables that fit into 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.printable import printable
from cli.top.figures import TopFigures

_COLORS = {"ready": "green", "degraded": "yellow", "starting": "yellow", "restarting": "red", "unhealthy": "red"}
_EXPLAINED = """\
/s, p50 and p99 in ms: gateways: calls, until a command is acknowledged;
lanes: commands, from there until they are applied; monitor: events, writes;
commands: from their acceptance until all their stores have answered"""
_MIB = 2**20


def screen(figures: TopFigures, hint: str = "") -> RenderableType:
    """Return what is shown. `hint` is how to leave, where somebody may."""
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(printable(figures.status), style=f"bold {_COLORS.get(figures.status, 'red')}")
    title.append(f"  {printable(figures.engines)}, over the last {figures.interval_s:.1f} s  {hint}")
    lines: list[RenderableType] = [title]
    lines += [Text(printable(text), style="yellow") for text in (figures.detail, figures.note) if text]
    lines += [_parts(figures), Text(), _commands(figures), Text(), Text(_EXPLAINED, style="dim")]
    return Group(*lines)


def _parts(figures: TopFigures) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("part", width=18, no_wrap=True, overflow="ellipsis")
    table.add_column("status", width=9, no_wrap=True, overflow="ellipsis")
    for name, width in (("/s", 8), ("p50", 7), ("p99", 7), ("lag", 8), ("CPU %", 6), ("MiB", 6)):
        table.add_column(name, justify="right", width=width, no_wrap=True)
    for part in figures.parts:
        table.add_row(
            Text(printable(part.part)),
            Text(part.status, style=_COLORS.get(part.status, "red")),
            _number(part.rate_per_s),
            _number(part.p50_ms),
            _number(part.p99_ms),
            _number(part.lag_records, whole=True),
            _number(part.cpu_percent),
            _number(part.memory_bytes / _MIB if part.memory_bytes else None, whole=True),
        )
        if part.trouble:
            table.add_row("", Text("no rates", style="yellow"), *[""] * 6)
    return table


def _commands(figures: TopFigures) -> RenderableType:
    if not figures.commands:
        return Text("no command yet", style="dim")
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("command", width=28, no_wrap=True, overflow="ellipsis")
    for name, width in (("accepted/s", 10), ("errors/s", 9), ("p50", 8), ("p99", 8)):
        table.add_column(name, justify="right", width=width, no_wrap=True)
    for each in figures.commands:
        errors = Text(_number(each.errors_per_s), style="red" if each.errors_per_s else "")
        row = (Text(printable(each.command)), _number(each.accepted_per_s), errors)
        table.add_row(*row, _number(each.p50_ms), _number(each.p99_ms))
    return table


def _number(value: float | None, *, whole: bool = False) -> str:
    """Return a number in few characters; a dash where there is none."""
    if value is None:
        return "-"
    for least, unit, unit_name in ((1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if value >= least:
            return f"{value / unit:,.1f}{unit_name}"
    return f"{value:,.0f}" if whole or value >= 1000 else f"{value:.1f}"
