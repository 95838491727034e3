"""A line of a part's log for people: when, how bad, which part, what, and which operation it is about."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from cli.printable import printable
from mesh.supervisor_client import LoggedLine
from stack.logs import shown_time

_TIME_WIDTH: Final = len("2026-11-30T05:13:05.500Z")
_LEVEL_WIDTH: Final = len("WARNING")
_PART_WIDTH: Final = 18
_COLORS: Final = {
    "DEBUG": "dim",
    "WARNING": "yellow",
    "ERROR": "red",
    "CRITICAL": "bold red",
    "FATAL": "bold red",
    "PANIC": "bold red",
}
# The levels of services, and of engines: PostgreSQL's `LOG:`, Kafka's and OpenSearch's `INFO`, Envoy's `[warning]`.
_LEVEL: Final = re.compile(
    r"\b(DEBUG|INFO|LOG|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)\b(?=\s*[\]:, ])"
    r"|\[(debug|info|warning|error|critical)\s*\]"
)
_LEVEL_WITHIN: Final = 100  # characters from a line's beginning
_SAME_LEVELS: Final = {"WARN": "WARNING", "LOG": "INFO", "NOTICE": "INFO"}
_ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_OWN_TIME: Final = re.compile(
    r"^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\s?(?:Z|UTC|GMT|[+-]\d\d:?\d\d)?\]?\s*"
)
_SHOWN_ELSEWHERE: Final = ("timestamp", "level", "event", "correlation_id", "service")


@dataclass(frozen=True, slots=True)
class ReadLine:
    """What one line says, as far as its form is known."""

    level: str  # in capitals; empty where it says none
    message: str
    correlation_id: str
    fields: Mapping[str, Any]  # what else stands in it by name


def read_line(text: str) -> ReadLine:
    """Read a line of a service, which is JSON, or of an engine, each of which has a form of its own."""
    if text.startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict) and "event" in document:
            others = {name: value for name, value in document.items() if name not in _SHOWN_ELSEWHERE}
            return ReadLine(
                _level(str(document.get("level", ""))),
                str(document["event"]),
                str(document.get("correlation_id", "")),
                others,
            )
    found, named = _LEVEL.search(text[:_LEVEL_WITHIN]), _ID.search(text)
    return ReadLine(
        _level(found[1] or found[2]) if found else "", _OWN_TIME.sub("", text), named[0] if named else "", {}
    )


def to_text(line: LoggedLine) -> Text:
    """Return a line as people read it, with the colours that a terminal may have."""
    read = read_line(line.text)
    color = _COLORS.get(read.level, "")
    text = Text(f"{shown_time(line.time_s):<{_TIME_WIDTH}} ", style="", end="")
    text.append(f"{read.level:<{_LEVEL_WIDTH}} ", style=color)
    text.append(f"{printable(line.part):<{_PART_WIDTH}} ", style="cyan")
    text.append(printable(read.message), style=color)
    if read.correlation_id and read.correlation_id not in read.message:
        text.append(f"  correlation_id={printable(read.correlation_id)}", style="bold")
    for name, value in read.fields.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text.append(printable(f"  {name}={shown}"), style="dim")
    return text


def to_document(line: LoggedLine) -> dict[str, Any]:
    """Return a line as JSON has it: the line as it was written, and what it says as far as that is known."""
    read = read_line(line.text)
    return {
        "part": line.part,
        "timestamp": shown_time(line.time_s) or None,
        "level": read.level or None,
        "message": read.message,
        "correlation_id": read.correlation_id or None,
        "line": line.text,
    }


def _level(text: str) -> str:
    level = text.upper()
    return _SAME_LEVELS.get(level, level)
