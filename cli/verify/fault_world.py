"""What a fault may touch, and what a kind of fault is."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from cli.verify.breakpoints.points import BreakpointFolder
from cli.verify.image import ForeignRecord
from cli.verify.load import LoadRun
from cli.verify.platform import VerifiedPlatform, VerifyError
from mesh.envelope import KafkaRecord
from mesh.kafka import PRODUCER_CONFIG, QUIET_CONFIG
from mesh.settings import KafkaSettings

EMBEDDED: Final = "embedded"
NATIVE: Final = "native"
STORES: Final = ("postgresql", "mongodb", "redis")
BACK_MAX_S: Final = 240.0  # OpenSearch may take as long, killed as it wrote on a busy machine
_SEND_MAX_S: Final = 30.0
_REDRIVE_MAX_S: Final = 120.0


class FaultWorld:
    """What a fault may touch."""

    def __init__(self, platform: VerifiedPlatform, load: LoadRun) -> None:
        self.platform = platform
        self.load = load
        self.kafka = KafkaSettings(bootstrap_servers=platform.endpoint("kafka"))
        self.foreign: list[ForeignRecord] = []
        self.given_up: set[str] = set()  # correlation IDs of commands that a fault had a store give up
        self.breakpoints = BreakpointFolder(platform.data_dir)

    def lanes_of(self, store: str) -> list[str]:
        """Return the names of a store's lane processes."""
        return [f"lane-{store}-{index}" for index in range(self.platform.lanes)]

    def restart(self, name: str, number: signal.Signals) -> float:
        """End a process by a signal, and return after how many seconds it is ready again. Raises VerifyError."""
        before, began_s = self.platform.signal(name, number), time.monotonic()
        if not self.platform.wait_for(lambda: self.platform.is_back(name, before), BACK_MAX_S):
            raise VerifyError(f"{name} was not ready again {BACK_MAX_S:g} s after {number.name}")
        return time.monotonic() - began_s

    @property
    def session_s(self) -> float:
        """How long a lane may be silent before its partitions go to another one, in seconds."""
        return int(self.platform.settings.get("KAFKA_SESSION_TIMEOUT_MS", self.kafka.session_timeout_ms)) / 1000

    @contextmanager
    def failing(self, store: str) -> Iterator[None]:
        """Have a store's handlers fail for a third of the keys while the block runs."""
        self.breakpoints.let_fail(store, fails=True)
        try:
            yield
        finally:
            self.breakpoints.let_fail(store, fails=False)

    def redrive_all(self, *, must_succeed: bool = True) -> list[str]:
        """Redrive everything that is parked; return the correlation IDs of what was given up.

        Raises VerifyError where it can't be done, or is not all answered although it must be.
        """
        command = (sys.executable, "-m", "cli", "dlq", "redrive", "--all", "--keep-going", "--json")
        try:
            done = subprocess.run(  # noqa: S603 - this command itself
                [*command, "--data-dir", str(self.platform.data_dir)],
                capture_output=True,
                timeout=_REDRIVE_MAX_S,
                check=False,
            )
            told = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError) as error:
            raise VerifyError(f"what was given up could not be redriven: {error}") from error
        if done.returncode != 0 and must_succeed:
            raise VerifyError(f"what was given up was not all redriven: {told}")
        redriven = [one["correlation_id"] for one in told["redriven"]]
        self.given_up.update(redriven)
        return redriven

    def produce(self, records: Sequence[KafkaRecord]) -> list[tuple[int, int]]:
        """Write records to `user_events`, and return the partition and the offset of each. Raises VerifyError."""
        delivered: dict[int, tuple[int, int]] = {}  # by the record's number
        failed: list[KafkaError] = []

        def on_delivery(number: int, error: KafkaError | None, message: Message) -> None:
            if error is None:
                delivered[number] = (message.partition() or 0, message.offset() or 0)
            else:
                failed.append(error)

        producer = Producer({**self.kafka.client_config("verify"), **PRODUCER_CONFIG, **QUIET_CONFIG})
        for number, record in enumerate(records):
            producer.produce(
                record.topic,
                record.value,
                record.key,
                partition=record.partition,
                headers=list(record.headers),
                on_delivery=partial(on_delivery, number),
            )
        producer.flush(_SEND_MAX_S)
        if len(delivered) < len(records):
            raise VerifyError(f"Kafka did not take a record: {failed[0].str() if failed else 'it did not answer'}")
        return [delivered[number] for number in range(len(records))]


Inject = Callable[[FaultWorld, random.Random], str]


def _no_obstacle() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault. To add one is to add a row to `FAULTS`."""

    name: str
    inject: Inject
    engine_sets: tuple[str, ...] = (EMBEDDED, NATIVE)
    touches: frozenset[str] = frozenset()  # the engines that do not answer meanwhile
    is_proxied: bool = False  # whether services have to reach their engines through proxies
    obstacle: Callable[[], str] = _no_obstacle  # why it can't be injected on this machine, in a few words
    small_disks: Sequence[str] = ()  # folders below the data folder that have to be on disks that can be filled
    loses_spans: bool = False  # of what was under way: services keep spans in memory, and for some seconds only
    delivers_again: bool = False  # what was done long ago: its second spans are under way once more
