"""How much memory each process has while a run lasts: one that keeps what it need not keep is seen here."""

import statistics
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import psutil

from cli.verify.platform import VerifiedPlatform, VerifyError

_SAMPLES_MAX: Final = 120  # of one process
_LEAST_INTERVAL_S: Final = 1.0
_END_MAX_S: Final = 10.0
_SETTLED: Final = 4  # a run's first part of so many is the start: caches fill, plans are made


class MemoryWatch:
    """A thread that looks at every process now and then, from `begin` to `end`."""

    def __init__(self, platform: VerifiedPlatform, duration_s: float) -> None:
        self._platform = platform
        self._interval_s = max(_LEAST_INTERVAL_S, duration_s / _SAMPLES_MAX)
        self._samples: defaultdict[str, list[float]] = defaultdict(list)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def begin(self) -> None:
        """Start it."""
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join(_END_MAX_S)

    @property
    def interval_s(self) -> float:
        """How long it is from one look to the next, in seconds."""
        return self._interval_s

    def curves(self) -> dict[str, list[float]]:
        """Return what each process had at each look, in MiB, its children's too; 0 where there was none."""
        return dict(self._samples)

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                processes = self._platform.state.processes
            except VerifyError:  # everything was killed, and starts again
                continue
            for process in processes:
                self._samples[process.name].append(_resident_mib(process.pid))


def growth(curve: Sequence[float]) -> dict[str, float]:
    """Return what a curve comes to, in MiB: its median once the start is over, its median at the end, its highest."""
    part = max(1, len(curve) // _SETTLED)
    return {
        "settled": round(statistics.median(curve[part : 2 * part] or curve), 1),
        "at_the_end": round(statistics.median(curve[-part:]), 1),
        "highest": round(max(curve), 1),
    }


def describe(watch: MemoryWatch) -> dict[str, Any]:
    """Return it as JSON has it, without the processes that were never seen."""
    curves = {name: curve for name, curve in sorted(watch.curves().items()) if any(curve)}
    return {
        "interval_s": round(watch.interval_s, 2),
        "total": growth([sum(sample) for sample in zip(*curves.values(), strict=False)] or [0.0]),
        "processes": {
            name: {**growth(curve), "curve": [round(mib, 1) for mib in curve]} for name, curve in curves.items()
        },
    }


def _resident_mib(pid: int | None) -> float:
    """Return a process's memory and its children's; pages that they share are counted once (PSS, where there is it)."""
    if pid is None:
        return 0.0
    try:
        parent = psutil.Process(pid)
        return sum(_proportional_bytes(one) for one in (parent, *parent.children(recursive=True))) / 2**20
    except psutil.Error:
        return 0.0


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.Error:
        return 0
