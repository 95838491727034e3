"""One look at a platform: how each part is, what it uses, and what it tells of its work."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.process_usage import cpu_s, memory_bytes
from cli.running import find_platform
from cli.top.scrape import Scrape, ScrapeError, scrape
from stack.supervisor.state import ProcessState

_AT_ONCE_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class PartReading:
    """One part at one moment."""

    name: str
    kind: str  # engine, service
    status: str
    pid: int | None
    cpu_s: float | None  # since it began, its children's included
    memory_bytes: int | None
    scrape: Scrape | None = None
    trouble: str = ""  # why there is no scrape, where there should be


@dataclass(frozen=True, slots=True)
class PlatformReading:
    """A platform at one moment."""

    time_s: float  # of the clock that never jumps
    status: str
    detail: str
    engines: str
    parts: Sequence[PartReading]


def read_platform(data_dir: Path) -> PlatformReading | None:
    """Look once, at every part at the same time; None where nothing runs. Raises NothingRunsError."""
    state = find_platform(data_dir)
    if state is None:
        return None
    with ThreadPoolExecutor(_AT_ONCE_MAX) as pool:
        parts = tuple(pool.map(_read_part, state.processes))
    return PlatformReading(time.monotonic(), state.status, state.detail, state.engines, parts)


def _read_part(state: ProcessState) -> PartReading:
    told, trouble = None, ""
    if state.metrics_url and state.pid:
        try:
            told = scrape(state.metrics_url)
        except ScrapeError as error:
            trouble = str(error)
    return PartReading(
        state.name,
        state.kind,
        state.status,
        state.pid,
        cpu_s(state.pid) if state.pid else None,
        memory_bytes(state.pid) if state.pid else None,
        told,
        trouble,
    )
