"""Injects the scheduled faults, one after the other, while the load runs."""

import math
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cli.verify.fault_schedule import PlannedFault
from cli.verify.fault_world import FaultKind, FaultWorld
from cli.verify.load import Progress

_END_MAX_S: Final = 300.0  # for the fault that is under way
_LOOK_S: Final = 0.5  # at the time that goes now slower, now faster


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault that has been. Times are seconds since the load began."""

    kind: str
    begin_s: float
    end_s: float
    note: str  # what it did
    failed: bool = False  # whether it could not be injected, or its part did not come back

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "kind": self.kind,
            "begin_s": round(self.begin_s, 3),
            "end_s": round(self.end_s, 3),
            "note": self.note,
            "failed": self.failed,
        }


@dataclass(slots=True)
class Injector:
    """A thread that injects faults."""

    world: FaultWorld
    schedule: Sequence[PlannedFault]
    table: Mapping[str, FaultKind]
    progress: Progress
    injected: list[InjectedFault] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start it."""
        self._thread = threading.Thread(target=self._run, name="injector", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether every fault has been."""
        return self._thread is None or not self._thread.is_alive()

    def end(self) -> None:
        """Begin no other fault, and wait for the one that is under way."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_END_MAX_S)

    def _run(self) -> None:
        load = self.world.load
        next_due_s = [*(planned.at_s for planned in self.schedule[1:]), math.inf]
        for planned, due_s in zip(self.schedule, next_due_s, strict=False):  # of no faults there is no first one
            while (early_s := planned.at_s - load.pace.now_s()) > 0:
                if self._ended.wait(min(early_s, _LOOK_S)):
                    return
            if self._ended.is_set():
                return
            load.pace.await_fault(due_s)
            self.progress(f"{load.acknowledged} commands acknowledged; fault: {planned.kind}")
            begin_s, failed = load.now_s(), False
            try:
                rng = random.Random(planned.seed)  # noqa: S311 - no secret
                note = self.table[planned.kind].inject(self.world, rng)
            except Exception as error:  # noqa: BLE001 - told in the report, and the others go on
                note, failed = f"{type(error).__name__}: {error}", True
            self.injected.append(InjectedFault(planned.kind, begin_s, load.now_s(), note, failed))
