"""Faults at named points of the services' work: SIGKILL between two steps, or SIGSTOP until others have gone on."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from cli.verify.breakpoints.points import GATEWAY, Breakpoint, Effect
from cli.verify.fault_world import BACK_MAX_S, STORES, FaultKind, FaultWorld, Inject
from cli.verify.platform import VerifyError

_COME_MAX_S: Final = 60.0  # until a process comes to a point; the load goes slower meanwhile
_SESSION_SHARE: Final = 2.0  # how long a lane stands still, in terms of its session timeout
_FAILS_S: Final = (1.0, 4.0)


def _killed_at(point: Breakpoint, where: str) -> Inject:
    """SIGKILL to whichever process comes to a point first."""

    def inject(world: FaultWorld, _rng: random.Random) -> str:
        with _armed(world, point, where) as victim:
            name, pid = victim()
            return _is_back(world, name, pid, point)

    return inject


def _given_up_and_killed(store: str) -> Inject:
    """Have handlers fail, and kill a lane between the mark in the store and the dead letter; then redrive."""

    def inject(world: FaultWorld, _rng: random.Random) -> str:
        point = Breakpoint.BEFORE_DEAD_LETTER
        with world.failing(store), _armed(world, point, store) as victim:
            name, pid = victim()
            told = _is_back(world, name, pid, point)
        return f"{told}; {len(world.redrive_all())} keys redriven"

    return inject


def _killed_in_redrive(store: str) -> Inject:
    """Redrive what was given up, and kill the lane between the answer and letting go of it."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        _give_up(world, store, rng)
        point = Breakpoint.BEFORE_LETTING_GO
        with _armed(world, point, store) as victim:
            redriven = set(world.redrive_all(must_succeed=False))
            name, pid = victim()
            told = _is_back(world, name, pid, point)
        redriven.update(world.redrive_all())
        return f"{told}; {len(redriven)} keys redriven"

    return inject


def handlers_fail(store: str) -> Inject:
    """Have handlers fail for a while, and redrive what was given up."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        _give_up(world, store, rng)
        return f"{len(world.redrive_all())} keys parked in {store}, and redriven"

    return inject


def _stopped_at(point: Breakpoint, store: str) -> Inject:
    """SIGSTOP to a lane with a batch in its hands, until its session is over and its partitions are another's."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        still_s = world.session_s * _SESSION_SHARE + rng.random()
        with _armed(world, point, store, signal.SIGSTOP) as victim:
            name, _ = victim()
            try:
                time.sleep(still_s)
            finally:
                world.platform.signal(name, signal.SIGCONT)
        return f"SIGSTOP to {name} {_told(point)} for {still_s:.1f} s"

    return inject


def _give_up(world: FaultWorld, store: str, rng: random.Random) -> None:
    """Have handlers fail until at least one command is given up, and for some seconds more."""
    with world.failing(store), _armed(world, Breakpoint.BEFORE_DEAD_LETTER, store, 0) as victim:
        victim()
        time.sleep(rng.uniform(*_FAILS_S))


@contextmanager
def _armed(
    world: FaultWorld, point: Breakpoint, where: str, effect: Effect = signal.SIGKILL
) -> Iterator[Callable[[], tuple[str, int]]]:
    """Arm a point while the block runs; what is given waits for who comes to it: the process, and its ID."""
    parts = ["gateway-0"] if where == GATEWAY else world.lanes_of(where)
    before: Mapping[int, str] = {world.platform.pid(name): name for name in parts}

    def victim() -> tuple[str, int]:
        if not world.platform.wait_for(lambda: world.breakpoints.who_came(point, where) is not None, _COME_MAX_S):
            raise VerifyError(f"no process of {where} came to {point.value} within {_COME_MAX_S:g} s")
        pid = world.breakpoints.who_came(point, where) or 0
        if pid not in before:
            raise VerifyError(f"a process that nobody knows came to {point.value}: {pid}")
        return before[pid], pid

    world.breakpoints.disarm(point, where)
    world.breakpoints.arm(point, where, effect)
    try:
        yield victim
    finally:
        world.breakpoints.disarm(point, where)


def _is_back(world: FaultWorld, name: str, pid: int, point: Breakpoint) -> str:
    """Wait until a process that has died is ready again, and tell of it. Raises VerifyError."""
    began_s = time.monotonic()
    if not world.platform.wait_for(lambda: world.platform.is_back(name, pid), BACK_MAX_S):
        raise VerifyError(f"{name} was not ready again {BACK_MAX_S:g} s after it was killed {_told(point)}")
    return f"SIGKILL to {name} {_told(point)}, ready again after {time.monotonic() - began_s:.1f} s"


def _told(point: Breakpoint) -> str:
    return point.value.replace("-", " ")


POINT_FAULTS: Final = (
    FaultKind("kill-gateway-before-answer", _killed_at(Breakpoint.BEFORE_ANSWER, GATEWAY), loses_spans=True),
    *(
        FaultKind(f"kill-lane-{store}-{point.value}", _killed_at(point, store), loses_spans=True)
        for point in (Breakpoint.AFTER_COMMIT, Breakpoint.AFTER_RECEIPT)
        for store in STORES
    ),
    FaultKind("kill-lane-mongodb-before-mark", _killed_at(Breakpoint.BEFORE_MARK, "mongodb"), loses_spans=True),
    *(FaultKind(f"give-up-{store}", handlers_fail(store)) for store in ("mongodb", "redis")),
    *(
        FaultKind(f"kill-lane-{store}-before-dead-letter", _given_up_and_killed(store), loses_spans=True)
        for store in STORES
    ),
    *(FaultKind(f"kill-lane-{store}-in-redrive", _killed_in_redrive(store), loses_spans=True) for store in STORES),
    *(
        FaultKind(f"stop-lane-{store}-before-write", _stopped_at(Breakpoint.BEFORE_WRITE, store), loses_spans=True)
        for store in STORES
    ),
)
