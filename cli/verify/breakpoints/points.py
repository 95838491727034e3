"""The points, and how they are armed: by a file that the process that comes to the point takes away."""

import enum
import os
import signal
from pathlib import Path
from typing import Final, Literal

_FOLDER: Final = "breakpoints"
_FAILING: Final = "failing"
_TELL: Final = 0  # the signal that does nothing
GATEWAY: Final = "gateway"


class Breakpoint(enum.Enum):
    """Where a process may be made to die, or to stand still."""

    BEFORE_WRITE = "before-write"  # a batch is about to be written to the store
    BEFORE_MARK = "before-mark"  # MongoDB: the effect is there, the receipt in the store is not
    AFTER_COMMIT = "after-commit"  # the store has the batch, Kafka has no receipt
    AFTER_RECEIPT = "after-receipt"  # Kafka has the receipts, and no offset is committed
    BEFORE_DEAD_LETTER = "before-dead-letter"  # the store has parked a record, Kafka has no dead letter
    BEFORE_LETTING_GO = "before-letting-go"  # what was parked is answered, and is parked still
    BEFORE_ANSWER = "before-answer"  # Kafka has a command, and its caller has no answer


Effect = Literal[signal.Signals.SIGKILL, signal.Signals.SIGSTOP, 0]


class BreakpointFolder:
    """What is armed on one platform. `where` is a lane's store in lower case, or `gateway`."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER

    def arm(self, point: Breakpoint, where: str, effect: Effect = signal.SIGKILL) -> None:
        """Have the first process that comes to a point send itself a signal there; 0 only tells that one came."""
        self._folder.mkdir(exist_ok=True)
        armed = self._armed(point, where)
        written = armed.with_suffix(".new")
        written.write_text(str(int(effect)), encoding="ascii")
        written.rename(armed)

    def disarm(self, point: Breakpoint, where: str) -> None:
        """Forget a point, and who has come to it."""
        for path in (self._armed(point, where), *self._folder.glob(f"{self._armed(point, where).name}.by-*")):
            path.unlink(missing_ok=True)

    def who_came(self, point: Breakpoint, where: str) -> int | None:
        """Return the ID of the process that has come to an armed point; None as long as none has."""
        found = next(self._folder.glob(f"{self._armed(point, where).name}.by-*"), None)
        return None if found is None else int(found.suffix.removeprefix(".by-"))

    def reach(self, point: Breakpoint, where: str) -> None:
        """Come to a point, in a process of the platform: where it is armed, this is the last that the process does."""
        armed = self._armed(point, where)
        try:
            effect = int(armed.read_text(encoding="ascii"))
            # Only one process can rename it: so each arming has its effect once.
            armed.rename(armed.with_name(f"{armed.name}.by-{os.getpid()}"))
        except FileNotFoundError:
            return
        if effect != _TELL:
            os.kill(os.getpid(), effect)

    def let_fail(self, where: str, *, fails: bool) -> None:
        """Have a store's handlers fail for a third of the keys, or not any more."""
        path = self._folder / f"{_FAILING}@{where}"
        self._folder.mkdir(exist_ok=True)
        if fails:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def fails(self, where: str) -> bool:
        """Tell whether a store's handlers are to fail."""
        return (self._folder / f"{_FAILING}@{where}").exists()

    def _armed(self, point: Breakpoint, where: str) -> Path:
        return self._folder / f"{point.value}@{where}"
