"""Interleaved rounds: every subject once a round, so that what slows the machine slows them all."""

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cli.bench.load import LoadError, apply_load
from cli.bench.records import RecordCounter
from cli.bench.stage import BROKER, Stage
from cli.bench.subjects import Subject

_WARM_UP_REQUESTS = 1500
_MIN_REQUESTS_A_STREAM = 8  # else it is the making of connections that is measured
_MAX_REQUESTS = 200_000  # of one subject in one round
_COUNT_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """How much is measured."""

    rounds: int
    round_s: float  # about how long one subject's load lasts in a round
    limit_s: float  # no round is begun that would probably end later than this after the first


SHORT = Schedule(rounds=5, round_s=1.2, limit_s=120.0)
LONG = Schedule(rounds=5, round_s=3.0, limit_s=600.0)


@dataclass(frozen=True, slots=True)
class Round:
    """One subject's figures in one round."""

    requests: int
    refused: int  # where more is sent than can be taken
    records: int  # found in the topic afterwards: what was acknowledged
    elapsed_s: float
    rps: float  # commands acknowledged a second
    cpu_us_per_command: float  # of the processes that serve, together
    cpu_us_by_process: dict[str, float]
    broker_cpu_us_per_command: float | None  # None for a broker that is not ours
    load_cpu_us_per_command: float  # of the load generator
    p50_ms: float  # of what was acknowledged
    p99_ms: float
    memory_mib: float  # of the processes that serve, together, afterwards


def measure(
    running: Stage, subjects: Sequence[Subject], schedule: Schedule, progress: Callable[[str], None]
) -> dict[str, list[Round]]:
    """Warm every subject up, then measure all of them in each round.

    Raises LoadError when a subject fails a request, or when its topic lacks a record of one that succeeded.
    """
    counters = {topic: RecordCounter(running.kafka, topic) for topic in {subject.topic for subject in subjects}}
    try:
        requests: dict[str, int] = {}
        for subject in subjects:
            progress(f"warming up: {subject.title}")
            # The first run meets cold code and connections; the second tells how much a round takes.
            least = _MIN_REQUESTS_A_STREAM * subject.streams
            warming = max(_WARM_UP_REQUESTS, least)
            _run(running, subject, counters[subject.topic], warming)
            rps = _run(running, subject, counters[subject.topic], warming).rps
            requests[subject.name] = min(_MAX_REQUESTS, max(least, round(rps * schedule.round_s)))
        results: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
        began = time.monotonic()
        for number in range(schedule.rounds):
            round_began = time.monotonic()
            for subject in order(subjects, number):
                progress(f"round {number + 1} of {schedule.rounds}: {subject.title}")
                figures = _run(running, subject, counters[subject.topic], requests[subject.name])
                results[subject.name].append(figures)
            now = time.monotonic()
            if now - began + (now - round_began) > schedule.limit_s:
                break
        return results
    finally:
        for counter in counters.values():
            counter.close()


def order(subjects: Sequence[Subject], number: int) -> Iterator[Subject]:
    """Yield every subject, each round beginning with another one."""
    first = number % len(subjects)
    yield from (*subjects[first:], *subjects[:first])


def _run(running: Stage, subject: Subject, counter: RecordCounter, requests: int) -> Round:
    watched = (*subject.processes, *([BROKER] if running.owns_broker else []))
    before, load_before = running.cpu_s(watched), _children_cpu_s()
    result = apply_load(subject.target, requests, subject.streams)
    after, load_after = running.cpu_s(watched), _children_cpu_s()
    refused = requests - result.accepted
    if refused and not subject.may_refuse:
        raise LoadError(f"{subject.title}: {refused} of {requests} requests were refused")
    # An answer says that the command is in Kafka; it is believed once the record has been read.
    records = counter.count_new(result.accepted, _COUNT_TIMEOUT_S)
    if records != result.accepted:
        raise LoadError(
            f"{subject.title}: {result.accepted} commands were acknowledged, and {subject.topic} grew by {records}"
        )
    cost = {name: (after[name] - before[name]) / requests * 1e6 for name in watched}
    return Round(
        requests=requests,
        refused=refused,
        records=records,
        elapsed_s=result.elapsed_s,
        rps=records / result.elapsed_s,
        cpu_us_per_command=sum(cost[name] for name in subject.processes),
        cpu_us_by_process={name: cost[name] for name in subject.processes},
        broker_cpu_us_per_command=cost.get(BROKER),
        load_cpu_us_per_command=(load_after - load_before) / requests * 1e6,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        memory_mib=running.memory_mib(subject.processes),
    )


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the load generator, once it has ended
    return used.ru_utime + used.ru_stime


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return a subject's medians, the spread of its commands a second, and its rounds."""

    def median(name: str) -> float:
        return round(statistics.median([float(getattr(figures, name)) for figures in rounds]), 2)

    processes = rounds[0].cpu_us_by_process
    return {
        "rps_median": median("rps"),
        "rps_lowest": round(min(figures.rps for figures in rounds), 2),
        "rps_highest": round(max(figures.rps for figures in rounds), 2),
        "cpu_us_per_command": median("cpu_us_per_command"),
        "cpu_us_by_process": {
            name: round(statistics.median([figures.cpu_us_by_process[name] for figures in rounds]), 2)
            for name in processes
        },
        "p50_ms": median("p50_ms"),
        "p99_ms": median("p99_ms"),
        "refused_share": round(statistics.median([figures.refused / figures.requests for figures in rounds]), 3),
        "memory_mib": median("memory_mib"),
        "rounds": [asdict(figures) for figures in rounds],
    }


def ratio(of: Sequence[Round], to: Sequence[Round], name: str) -> dict[str, float]:
    """Return one subject's figure in terms of another's in the same round: the rounds' median, lowest and highest."""
    pairs = zip(of, to, strict=True)
    ratios = [float(getattr(one, name) / getattr(other, name)) for one, other in pairs]
    found = {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {key: round(value, 2) for key, value in found.items()}
