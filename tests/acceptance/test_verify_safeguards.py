"""Each safeguard that is switched off breaks a promise, and the self-check names that one."""

import random
import signal
import time
from dataclasses import dataclass
from typing import Final

import pytest

from cli.verify.fault_world import FaultKind, FaultWorld
from cli.verify.faults import FAULTS
from cli.verify.options import RunOptions, WaitLimits
from cli.verify.point_faults import handlers_fail
from cli.verify.record_faults import records_again
from cli.verify.run import run_verify
from tests.support.sabotage.safeguards import SAFEGUARDS, launcher_without

_TEST_TIMEOUT_S: Final = 240.0
_HUNG_S: Final = 0.4
# What does not come in this time does not come: an operation of a good run takes less than one second.
_LIMITS: Final = WaitLimits(operation_s=4.0, quiet_s=6.0)


def _gateway_killed_while_kafka_hangs(world: FaultWorld, _rng: random.Random) -> str:
    """What was acknowledged meanwhile is nowhere but in the gateway."""
    with world.platform.stopped("kafka"):
        time.sleep(_HUNG_S)
        world.platform.signal("gateway-0", signal.SIGKILL)
    return "SIGKILL to the gateway while Kafka stood still"


_TABLE: Final = dict(FAULTS) | {
    "kill-gateway-without-kafka": FaultKind("kill-gateway-without-kafka", _gateway_killed_while_kafka_hangs),
    # Thrice: what the lane has in its hands at one time may be refused both times.
    **dict.fromkeys(("stop-1", "stop-2", "stop-3"), FAULTS["stop-lane-redis-before-write"]),
    "give-up-anything": FaultKind("give-up-anything", handlers_fail("postgresql")),
    "all-records-again": FaultKind("all-records-again", records_again(10_000)),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A violation that must be named: its kind, and words of its sentence or its table."""

    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class SafeguardRun:
    """A platform without safeguards, and what must be found of each of them.

    Where one covers another, both are off: a position keeps out of PostgreSQL what its inbox would, as long as
    it comes under the same offset; and a mark in Redis what a fence would, as long as it is there.
    """

    found: dict[str, Found]  # by safeguard
    faults: tuple[str, ...]
    lanes: int = 1
    covers: tuple[str, ...] = ()  # what is off besides


RUNS: Final = (
    SafeguardRun(
        {
            "position": Found("TWICE", "POSTGRESQL"),
            "fingerprint": Found("REQUEST_ID", "another request under its request ID was taken"),
            "offset-order": Found("UNFINISHED", "MONGODB has not answered"),
        },
        ("reset-offsets-postgresql", "kill-lane-mongodb-after-commit"),
        covers=("inbox",),
    ),
    SafeguardRun(
        {"inbox": Found("TWICE", "pagamentos"), "ack": Found("LOST", "its record is not on user_events")},
        ("all-records-again", "kill-gateway-without-kafka"),
    ),
    SafeguardRun(
        {
            "parking": Found("OUTCOME", "POSTGRESQL answered"),
            "marker-redis": Found("ANSWERS", "REDIS answered with"),
            "marker-mongodb": Found("ANSWERS", "MONGODB answered with"),
        },
        ("give-up-anything", "all-records-again"),
    ),
    SafeguardRun(
        {"fence": Found("ANSWERS", "REDIS answered with")},
        ("stop-1", "stop-2", "stop-3"),
        lanes=2,
        covers=("marker-redis",),
    ),
)


def test_each_safeguard_is_switched_off_once() -> None:
    """None is forgotten."""
    assert sorted(name for run in RUNS for name in run.found) == sorted(SAFEGUARDS)


@pytest.mark.timeout(_TEST_TIMEOUT_S)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: "+".join(run.found))
def test_what_a_safeguard_keeps_from_happening_is_found(run: SafeguardRun) -> None:
    """With the right name, whatever else is found."""
    options = RunOptions(31, "embedded", _COMMANDS, _DURATION_S, run.lanes, run.faults, _LIMITS)
    steps: list[str] = []
    report = run_verify(options, steps.append, _TABLE, launcher_without(*run.found, *run.covers))
    assert not any(fault["failed"] for fault in report["faults"]), report["faults"]
    violations = [(one["kind"], f"{one['table']}: {one['sentence']}") for one in report["violations"]]
    for safeguard, wanted in run.found.items():
        named = [said for kind, said in violations if kind == wanted.kind and wanted.said in said]
        assert named, (safeguard, violations)


_COMMANDS: Final = 240
_DURATION_S: Final = 12.0
