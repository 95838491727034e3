"""A line of a log for people, and as JSON."""

import json

import pytest

from cli.log_lines import read_line, to_document, to_text
from mesh.supervisor_client import LoggedLine

_ID = "019a1b2c-3d4e-7f50-8123-456789abcdef"


@pytest.mark.parametrize(
    ("line", "level", "message", "correlation_id"),
    [
        (json.dumps({"event": "applied", "level": "info", "correlation_id": _ID}), "INFO", "applied", _ID),
        (json.dumps({"event": "late", "level": "warning", "timestamp": "T"}), "WARNING", "late", ""),
        ("2026-11-30 05:13:04.25 UTC [6] LOG:  ready", "INFO", "[6] LOG:  ready", ""),
        ("2026-11-30 05:13:04.25 UTC [6] FATAL:  no", "FATAL", "[6] FATAL:  no", ""),
        ("[2026-11-30 05:13:04,250] WARN [Broker 1] slow", "WARNING", "WARN [Broker 1] slow", ""),
        ("[2026-11-30 05:13:04.250][7][warning][main] hot", "WARNING", "[7][warning][main] hot", ""),
        ("2026-11-30T05:13:04Z [info     ] applied  correlation_id=" + _ID, "INFO", None, _ID),
        ("    at frame 7", "", "    at frame 7", ""),
        ("the catalog: nothing", "", "the catalog: nothing", ""),
        ('{"event": "cut', "", '{"event": "cut', ""),
        ("[" * 5000, "", "[" * 5000, ""),
        ('{"a": ' * 5000, "", '{"a": ' * 5000, ""),
        ('{"level": "info"}', "", '{"level": "info"}', ""),
    ],
    ids=[
        "service",
        "warning",
        "PostgreSQL",
        "FATAL",
        "Kafka",
        "Envoy",
        "console",
        "frame",
        "prose",
        "cut",
        "[",
        "{",
        "no event",
    ],
)
def test_a_line_is_read_in_its_form(line: str, level: str, message: str | None, correlation_id: str) -> None:
    """A service's is JSON; engines have forms of their own; what is neither is a message."""
    read = read_line(line)
    assert (read.level, read.correlation_id) == (level, correlation_id)
    assert message is None or read.message == message


def test_a_line_for_people_has_what_they_look_for_first() -> None:
    """Time, level, part, message, operation; the rest behind it. No order reaches the terminal."""
    document = {"event": "late\x1b[2J", "level": "warning", "correlation_id": _ID, "service": "gateway-0", "lag": 7}
    line = LoggedLine("gateway-0", 1_790_000_000.5, json.dumps(document))
    assert to_text(line).plain == (
        f"2026-09-21T14:13:20.500Z WARNING gateway-0          late\\x1b[2J  correlation_id={_ID}  lag=7"
    )
    assert to_text(LoggedLine("redis", None, "ready")).plain.split() == ["redis", "ready"]


def test_a_line_as_json_has_the_line_itself_too() -> None:
    """Programs need not know the forms, and lose nothing."""
    text = f"2026-11-30 05:13:04.25 UTC [6] ERROR:  of {_ID}"
    assert to_document(LoggedLine("postgresql", 1_790_000_000.0, text)) == {
        "part": "postgresql",
        "timestamp": "2026-09-21T14:13:20.000Z",
        "level": "ERROR",
        "message": f"[6] ERROR:  of {_ID}",
        "correlation_id": _ID,
        "line": text,
    }
