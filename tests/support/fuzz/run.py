"""A run of the fuzzer: many connections, all cases, what was found, and what became of the server."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

from tests.support.fuzz.cases import Case, Kind, request
from tests.support.fuzz.generator import Generator
from tests.support.fuzz.sending import NO_ANSWER, Sender, Verdict

_CONNECTIONS: Final = 48
_PIPELINED_MAX: Final = 8
_TRIES: Final = 3  # of a case that has to have an answer, by itself
_EXAMPLES_MAX: Final = 3  # kept for each fault
_WARM_UP_SHARE: Final = 10  # a tenth of the cases
_SETTLE_POLLS: Final = 60  # for memory to come down again
_POLL_S: Final = 0.5
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """What to send, and what is too much."""

    host: str
    port: int
    seed: int
    count: int
    patience_s: float = 20.0
    pids: tuple[int, ...] = ()
    growth_mib: float = 64.0  # of the resident memory of `pids`, between the warm-up's end and the run's


@dataclass
class Outcome:
    """What was found."""

    options: Options
    sent: Counter[Kind] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)  # of HTTP, of all answers
    faults: dict[tuple[Kind, str], list[Case]] = field(default_factory=dict)  # some cases of each
    counts: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    elapsed_s: float = 0.0
    grown_mib: float | None = None  # None where no process was watched
    serves: bool = True

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        grown = self.grown_mib or 0.0
        return self.serves and not self.faults and grown <= self.options.growth_mib

    def add(self, case: Case, verdict: Verdict) -> None:
        """Take a verdict."""
        self.sent[case.kind] += 1
        if verdict is not None:
            self.counts[case.kind, verdict] += 1
            examples = self.faults.setdefault((case.kind, verdict), [])
            if len(examples) < _EXAMPLES_MAX:
                examples.append(case)


async def fuzz(options: Options) -> Outcome:
    """Send all cases and return what was found. Raises OSError where nobody listens at the start."""
    outcome = Outcome(options)
    generator = Generator(options.seed)
    numbers = iter(range(options.count))
    warm_up = options.count // _WARM_UP_SHARE
    began = time.monotonic()
    await _send_all(generator, itertools.islice(numbers, warm_up), outcome)
    before = _resident_mib(options.pids)
    await _send_all(generator, numbers, outcome)
    outcome.elapsed_s = time.monotonic() - began
    if options.pids:
        outcome.grown_mib = await _growth_mib(options, before)
    outcome.serves = await _serves(options)
    return outcome


async def _send_all(generator: Generator, numbers: Iterator[int], outcome: Outcome) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(_work(generator, numbers, outcome))


async def _work(generator: Generator, numbers: Iterator[int], outcome: Outcome) -> None:
    options = outcome.options
    sender = Sender(options.host, options.port, options.patience_s, outcome.statuses)
    while batch := [generator.case(number) for number in itertools.islice(numbers, _PIPELINED_MAX)]:
        for case in batch:
            if not case.is_framed:
                outcome.add(case, await sender.send_alone(case))
        framed = [case for case in batch if case.is_framed]
        for case, verdict in zip(framed, await sender.send_batch(framed) if framed else (), strict=True):
            outcome.add(case, verdict if verdict != NO_ANSWER else await _send_again(sender, case))
    sender.close()


async def _send_again(sender: Sender, case: Case) -> Verdict:
    for _ in range(_TRIES):
        sender.close()
        (verdict,) = await sender.send_batch([case])
        if verdict != NO_ANSWER:
            return verdict
    return NO_ANSWER


def _resident_mib(pids: Sequence[int]) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / _MIB


async def _growth_mib(options: Options, before: float) -> float:
    """Return by how much the memory has grown, once what was under way has ended."""
    grown = _resident_mib(options.pids) - before
    for _ in range(_SETTLE_POLLS):
        if grown <= options.growth_mib:
            break
        await asyncio.sleep(_POLL_S)
        grown = _resident_mib(options.pids) - before
    return grown


async def _serves(options: Options) -> bool:
    sender = Sender(options.host, options.port, options.patience_s)
    health = Case(-1, Kind.GRAMMAR, request("GET", "/health", []), is_framed=True)
    command = Case(-1, Kind.JSON, request("POST", "/usuarios", []), is_framed=True)
    try:
        return await sender.send_batch([health, command]) == [None, None]
    except OSError:
        return False
    finally:
        sender.close()
