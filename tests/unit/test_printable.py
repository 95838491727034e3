"""What a terminal would take for an order never reaches it, whatever records, logs and errors hold."""

import io
import json
from collections.abc import Callable
from typing import Final

import pytest
import structlog
from polystream.v1.operations_pb2 import Event, Operation, OperationStory, Span
from rich.markup import escape
from rich.table import Table

from cli.commands import dlq, explain, integrity
from cli.console import PrintableConsole, make_console
from cli.dead_letters import describe, show_dead_letter, show_dead_letters, show_plan, show_redriven
from cli.integrity_report import show_drift
from cli.printable import json_text, log_to_stderr, printable, printable_json, write_error
from cli.story import show
from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition
from mesh.dead_letters.reader import DeadLetterEntry
from mesh.dead_letters.redrive import RedriveOutcome, RedriveResult
from mesh.dead_letters.redrive_status import RedriveStatus
from mesh.envelope import RedriveAction
from mesh.proto_json import to_json
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus
from processor.integrity.inspection import Drift
from processor.integrity.lost import Findings

ORDERS: Final = {
    "a color": ("\x1b[31mred", r"\x1b[31mred"),
    "a window's title": ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    "a C1 introducer": ("\x9b2J", r"\x9b2J"),
    "a carriage return": ("ok\rno", r"ok\x0dno"),
    "backspaces": ("no\b\bok", r"no\x08\x08ok"),
    "a NUL": ("a\0b", r"a\x00b"),
    "a DEL": ("\x7f", r"\x7f"),
    "an override of the direction": ("\u202egnp.exe", r"\u202egnp.exe"),
    "an isolate": ("\u2066a\u2069", r"\u2066a\u2069"),
    "a mark of the direction": ("a\u200f", r"a\u200f"),
    "a line separator": ("a\u2028b", r"a\u2028b"),
    "no width": ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
    "a tag": ("a\U000e0041", r"a\U000e0041"),
    "half a surrogate pair": ("\ud83d", r"\ud83d"),
    "an order in brackets": ("\x1b[bold]", r"\x1b[bold]"),
}
HARMLESS: Final = (
    "São Paulo, 東京, \u03a9",
    "two\nlines\tand a tab",
    "👩\u200d💻",
    "\u0645\u06cc\u200c\u062e",
    "[bold]",
    "\\x1b",
)
EVERYTHING: Final = "".join(text for text, _ in ORDERS.values()) + "[/x]"  # which rich would take for an end


@pytest.mark.parametrize(("text", "shown"), ORDERS.values(), ids=ORDERS)
def test_orders_are_written_out(text: str, shown: str) -> None:
    """As Python would write them; JSON has escapes of its own, which mean the same text."""
    assert printable(text) == shown
    console = PrintableConsole(file=io.StringIO(), width=200, highlight=False)
    console.print(text, markup=False)
    assert console.file.getvalue() == shown + "\n"  # type: ignore[attr-defined] # the StringIO above
    assert json.loads(json_text({text: text})) == {text: text}
    assert _is_clean(json_text({text: text}))


@pytest.mark.parametrize("text", HARMLESS, ids=range(len(HARMLESS)))
def test_what_is_harmless_stays(text: str) -> None:
    """Letters of every script, line feeds, tabs, and what joins emojis and letters."""
    assert printable(text) == text
    assert json.dumps(text, ensure_ascii=False) in json_text([text])


def test_every_code_point_that_moves_a_terminal_is_among_them() -> None:
    """Controls and halves of pairs, but for line feeds and tabs."""
    assert printable("\n\t") == "\n\t"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)):
        assert chr(code) in "\n\t" or printable(chr(code)).isascii()


def _dead_letter() -> DeadLetter:
    position = RecordPosition(1, 2)
    return DeadLetter(
        position=position,
        source=position,
        first=position,
        correlation_id="0190b0b0-0000-7000-8000-000000000001",
        command=EVERYTHING,
        store=EVERYTHING,
        lane=EVERYTHING,
        reason=EVERYTHING,
        error=EVERYTHING,
        time_ms=0,
        redrives=0,
        omitted_bytes=0,
        key=None,
        value=None,
        headers=(),
    )


_ENTRY: Final = DeadLetterEntry(_dead_letter(), RedriveStatus.WAITING, [EVERYTHING])
_LISTED: Final = ListedDeadLetter(_dead_letter(), ParkingStatus.PARKED, None, [EVERYTHING])
_SAID: Final = EVERYTHING.replace("\ud83d", "")  # as protobuf takes it
_STORY: Final = OperationStory(
    operation=Operation(correlation_id=_SAID, command=_SAID),
    hops=[Event(event_type=_SAID, service=_SAID, store=_SAID, topic=_SAID, error=_SAID)],
    spans=[Span(span_id=_SAID, name=_SAID, service=_SAID, kind=_SAID, error=True)],
    missing=[_SAID],
)
_SHOWN: Final[dict[str, Callable[[PrintableConsole], None]]] = {
    "dlq list": lambda console: show_dead_letters([_LISTED], 0, {EVERYTHING: EVERYTHING}, console),
    "dlq show": lambda console: show_dead_letter(_LISTED, {EVERYTHING: EVERYTHING}, console),
    "dlq redrive --dry-run": lambda console: show_plan([_LISTED], [_LISTED], {}, RedriveAction.REDRIVE, console),
    "dlq redrive": lambda console: show_redriven(
        [RedriveResult(_dead_letter(), RedriveOutcome.REFUSED, EVERYTHING)], console
    ),
    "integrity check": lambda console: show_drift(
        Drift(Findings(commands=1, lost=[_ENTRY], is_whole=True), orphans=[]), console
    ),
    "explain": lambda console: show(_STORY, console),
    "a table": lambda console: console.print(_table()),
}


@pytest.mark.parametrize("name", _SHOWN)
def test_no_command_passes_orders_on(name: str) -> None:
    """Not in a cell, a tree, a title or a line."""
    console = PrintableConsole(file=io.StringIO(), width=500, highlight=False)
    _SHOWN[name](console)
    shown = console.file.getvalue()  # type: ignore[attr-defined] # the StringIO above
    assert _is_clean(shown)
    assert r"\x1b[31mred" in shown


def test_neither_does_json_nor_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are on the terminal where nobody takes them elsewhere."""
    write_error(ValueError(EVERYTHING))
    told = capsys.readouterr().err
    assert _is_clean(told)
    assert r"\x1b[31mred" in told
    assert _is_clean(json_text(describe(_LISTED)))
    assert json.loads(json_text(describe(_LISTED)))["command"] == EVERYTHING
    assert _is_clean(printable_json(to_json(_STORY)))
    assert json.loads(printable_json(to_json(_STORY)))["missing"] == [_SAID]


def test_what_is_logged_is_apart_from_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer in JSON is JSON, whatever was passed over on the way to it."""
    log_to_stderr()
    structlog.get_logger("mesh.kafka").error("records cannot be unpacked: they are passed over")
    told = capsys.readouterr()
    assert (told.out, "passed over" in told.err) == ("", True)


def test_every_command_prints_by_it() -> None:
    """The console that they all make, and what the commands write beside it."""
    assert isinstance(make_console(), PrintableConsole)
    assert {vars(module)["write_error"] for module in (dlq, explain, integrity)} == {write_error}


def _table() -> Table:
    table = Table(escape(EVERYTHING), title=escape(EVERYTHING))
    table.add_row(escape(EVERYTHING))
    return table


def _is_clean(text: str) -> bool:
    return printable(text) == text
