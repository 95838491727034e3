"""What a part says of itself. The standard library alone: a health command of a container reads it too."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

MAX_REPORT_BYTES: Final = 16_384
_MAX_TEXT_CHARACTERS: Final = 500
_MAX_WAITS: Final = 16
_MAX_COUNTS: Final = 64
_MAX_PARTITIONS: Final = 1000
_MAX_NUMBER: Final = 2**63 - 1
NEWEST_MS: Final = 253_402_300_799_999  # the end of the year 9999, the last that a Timestamp can tell


class HealthState(StrEnum):
    """How a part is, in the words of `polystream.v1.Health.Status`."""

    HEALTHY = "HEALTHY"  # it does its work
    DEGRADED = "DEGRADED"  # some of its work waits
    UNHEALTHY = "UNHEALTHY"  # it does not work, or not yet


@dataclass(frozen=True, slots=True)
class Wait:
    """What a part waits for."""

    dependency: str  # postgresql, mongodb, redis, kafka, schema_registry, event_store, jaeger or monitor
    reason: str  # a name of mesh.errors.Reason
    detail: str  # one sentence, without personal data
    since_ms: int  # since the epoch


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a part is behind."""

    records: int  # that Kafka has and that are not done
    oldest_age_ms: int  # of the oldest of them


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a lane reads nothing: somebody wants it so."""

    principal: str
    justification: str  # one sentence, without personal data
    since_ms: int  # since the epoch

    @property
    def sentence(self) -> str:
        """Who, since when, and why."""
        return f"paused by {self.principal} since {_clock(self.since_ms)}: {self.justification}"


@dataclass(frozen=True, slots=True)
class PartReport:
    """How one process is. Times are in milliseconds since the epoch."""

    name: str  # the process's name: `gateway-0`, `lane-postgresql-0`, `monitor`
    kind: str  # what it is one of: `gateway`, `lane-postgresql`, `monitor`
    pid: int
    state: HealthState
    doing: str  # in a few words
    since_ms: int  # how long it has been in this state
    waits: tuple[Wait, ...] = ()
    lag: Lag | None = None
    counts: Mapping[str, int] = field(default_factory=dict)  # since the process began, such as `set_apart`
    note: str = ""  # what people are to know though nothing is wrong
    pause: Pause | None = None
    partitions: tuple[int, ...] = ()  # of `user_events`, that a lane's process has

    @property
    def cause(self) -> str:
        """Why it is not HEALTHY, in one sentence; empty where it is."""
        if self.state is HealthState.HEALTHY:
            return ""
        causes = [self.pause.sentence] if self.pause is not None else []
        causes += [
            f"waits for {wait.dependency} since {_clock(wait.since_ms)} ({wait.detail or wait.reason})"
            for wait in self.waits
        ]
        return "; ".join(causes) or f"{self.doing} since {_clock(self.since_ms)}"

    def to_json(self) -> str:
        """Return it as one JSON object, which `from_json` reads."""
        return json.dumps(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON has of it: its fields under their names, and `cause`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "pid": self.pid,
            "state": self.state.value,
            "doing": self.doing,
            "since_ms": self.since_ms,
            "cause": self.cause,
            "waits": [
                {"dependency": w.dependency, "reason": w.reason, "detail": w.detail, "since_ms": w.since_ms}
                for w in self.waits
            ],
            "lag": None if self.lag is None else {"records": self.lag.records, "oldest_age_ms": self.lag.oldest_age_ms},
            "counts": dict(self.counts),
            "note": self.note,
            "pause": None if self.pause is None else asdict(self.pause),
            "partitions": list(self.partitions),
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> "PartReport":
        """Return the report that a JSON object tells of; other keys are left out. Raises ValueError.

        Texts, lists and numbers are bounded: whoever writes such an object may be anybody.
        """
        if len(text) > MAX_REPORT_BYTES:
            raise ValueError(f"a health report has {MAX_REPORT_BYTES} bytes at most")
        try:
            told = json.loads(text)
        except RecursionError as error:
            raise ValueError("a health report is not nested") from error
        return cls.from_dict(told)

    @classmethod
    def from_dict(cls, told: object) -> "PartReport":
        """Return the report that an object of `to_dict`'s shape tells of. Raises ValueError."""
        fields = _object(told)
        lag, pause = fields.get("lag"), fields.get("pause")
        return cls(
            name=_text(fields, "name"),
            kind=_text(fields, "kind"),
            pid=_number(fields, "pid"),
            state=HealthState(_text(fields, "state")),
            doing=_text(fields, "doing"),
            since_ms=_number(fields, "since_ms", NEWEST_MS),
            waits=tuple(_wait(_object(wait)) for wait in _list(fields, "waits")),
            lag=None if lag is None else _lag(_object(lag)),
            counts=_counts(_object(fields.get("counts", {}))),
            note=_text(fields, "note"),
            pause=None if pause is None else _pause(_object(pause)),
            partitions=_partitions(fields.get("partitions")),
        )


@dataclass(frozen=True, slots=True)
class FileReading:
    """What a health file said when it was read."""

    report: PartReport
    beats: int  # the same number in two readings: the process made no progress between them


def read_file(path: Path) -> FileReading:
    """Read a file that mesh.health.file.HealthFile writes. Raises FileNotFoundError, OSError, and ValueError."""
    with path.open("rb") as file:
        text = file.read(MAX_REPORT_BYTES + 1)
    return FileReading(PartReport.from_json(text), _number(_object(json.loads(text)), "beats"))


def _object(told: object) -> Mapping[str, object]:
    if isinstance(told, dict):
        return told
    raise ValueError("a health report, each of its waits, its lag, its pause and its counts are objects")


def _wait(told: Mapping[str, object]) -> Wait:
    return Wait(
        _text(told, "dependency"), _text(told, "reason"), _text(told, "detail"), _number(told, "since_ms", NEWEST_MS)
    )


def _lag(told: Mapping[str, object]) -> Lag:
    return Lag(_number(told, "records"), _number(told, "oldest_age_ms", NEWEST_MS))


def _pause(told: Mapping[str, object]) -> Pause:
    return Pause(_text(told, "principal"), _text(told, "justification"), _number(told, "since_ms", NEWEST_MS))


def _partitions(told: object) -> tuple[int, ...]:
    if told is None:  # there is no telling yet
        return ()
    if not isinstance(told, list) or len(told) > _MAX_PARTITIONS:
        raise ValueError(f"partitions is a list of {_MAX_PARTITIONS} at most")
    return tuple(_number({"partition": one}, "partition") for one in told)


def _counts(told: Mapping[str, object]) -> dict[str, int]:
    if len(told) > _MAX_COUNTS:
        raise ValueError(f"counts has {_MAX_COUNTS} numbers at most")
    return {_cut(name): _number(told, name) for name in told}


def _list(told: Mapping[str, object], name: str) -> list[object]:
    value = told.get(name, [])
    if not isinstance(value, list) or len(value) > _MAX_WAITS:
        raise ValueError(f"{name} is a list of {_MAX_WAITS} at most")
    return value


def _text(told: Mapping[str, object], name: str) -> str:
    value = told.get(name, "")
    if isinstance(value, str):
        return _cut(value)
    raise ValueError(f"{name} is a text")


def _cut(text: str) -> str:
    """Return a text short enough, on one line, and without what a terminal takes for an order."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_MAX_TEXT_CHARACTERS])


def _number(told: Mapping[str, object], name: str, largest: int = _MAX_NUMBER) -> int:
    value = told.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError(f"{name} is a whole number from 0 to {largest}")
    return value


def _clock(time_ms: int) -> str:
    """Return a time as people read it, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
