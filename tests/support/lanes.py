"""A lane's surroundings for tests: commands as deliveries and as records, the lane's process, its answers."""

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder, Encoder
from mesh.envelope import KafkaRecord
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings
from processor.model import Delivery
from tests.support.headers import header_texts
from tests.support.platform import CHECKOUT, EngineSet
from tests.support.waiting import eventually

CATALOG = load_catalog()
COMMAND_OF = {command.request_class: command for command in CATALOG.commands.values()}
RECEIPT_RECORD = "polystream.v1.CommandReceipt"
_OFFSETS = itertools.count()
_READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 15.0


def delivery(request: Message, correlation_id: str = "", *, partition: int = 0, offset: int | None = None) -> Delivery:
    """Return a request as a store is given it."""
    command, now_ns = COMMAND_OF[type(request)], time.time_ns()
    offset = next(_OFFSETS) if offset is None else offset
    key = command.key_of(request).encode()
    return Delivery(
        correlation_id=correlation_id or new_correlation_id(),
        command=command,
        request=request,
        key=key,
        partition=partition,
        offset=offset,
        accept_time_ms=now_ns // 1_000_000,
        receive_time_ns=now_ns,
        trace=None,
        record=KafkaRecord(topics.COMMANDS, partition, offset, now_ns // 1_000_000, now_ns, key, b"value", ()),
    )


@dataclass(frozen=True)
class Sent:
    """One record on a topic, as a test reads it."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    partition: int
    offset: int


class Wire:
    """Writes commands to Kafka, and reads what lanes send, from the moment at which it is made."""

    def __init__(self, engines: EngineSet) -> None:
        settings = engines.settings
        self._registry = RegistryClient(RegistrySettings(url=settings["SCHEMA_REGISTRY_URL"], timeout_s=5))
        self._config = KafkaSettings(bootstrap_servers=settings["KAFKA_BOOTSTRAP_SERVERS"]).client_config("test")
        self._producer = Producer({**self._config, "enable.idempotence": True, "linger.ms": 2})
        self._encoders: dict[type[Message], Encoder] = {}
        self._decoder = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), self._registry)
        self._consumer = Consumer(
            {
                **self._config,
                "group.id": "test",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "auto.offset.reset": "earliest",
            }
        )
        self._consumer.assign(
            [TopicPartition(topic, p, 0) for topic in (topics.RECEIPTS, topics.DEAD_LETTERS) for p in range(6)]
        )
        self.dead_letters: list[Sent] = []
        self._receipts: dict[str, list[tuple[CommandReceipt, Sent]]] = {}

    def encode(self, request: Message) -> bytes:
        """Return the value of a command's record."""
        if type(request) not in self._encoders:
            record = str(request.DESCRIPTOR.full_name)
            schema = load_schema(record)
            schema_id = self._registry.register(topics.COMMANDS, record, schema)
            self._encoders[type(request)] = Encoder(request.DESCRIPTOR, schema, schema_id)  # type: ignore[arg-type]
        return self._encoders[type(request)].encode(request)

    def send(self, request: Message, correlation_id: str = "", **headers: str) -> str:
        """Send a command, and return its correlation ID. Call `flush` when all are sent."""
        correlation_id = correlation_id or new_correlation_id()
        command = COMMAND_OF[type(request)]
        self.send_raw(
            command.key_of(request).encode(),
            self.encode(request),
            {
                topics.CORRELATION_ID: correlation_id,
                topics.COMMAND: command.name,
                topics.ACCEPT_TIME: str(time.time_ns() // 1_000_000),
                **headers,
            },
        )
        return correlation_id

    def send_raw(self, key: bytes | None, value: bytes | None, headers: Mapping[str, str]) -> None:
        """Send a record as it is."""
        self._producer.produce(topics.COMMANDS, value, key, headers=list(headers.items()))
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until Kafka has all that was sent."""
        assert self._producer.flush(10) == 0

    def receipts(self, correlation_id: str) -> list[CommandReceipt]:
        """Return the receipts of a command that had come when topics were last read, in their order."""
        return [receipt for receipt, _ in self._receipts.get(correlation_id, [])]

    def wait_receipts(self, correlation_id: str, count: int = 1, timeout_s: float = 15.0) -> list[CommandReceipt]:
        """Wait for so many receipts of a command, and return them."""

        def enough() -> list[CommandReceipt]:
            self.drain()
            found = self.receipts(correlation_id)
            return found if len(found) >= count else []

        return eventually(enough, timeout_s)

    def wait_receipt(self, correlation_id: str, timeout_s: float = 15.0) -> CommandReceipt:
        """Wait for a command's first receipt."""
        return self.wait_receipts(correlation_id, 1, timeout_s)[0]

    def wait_all(self, correlation_ids: Sequence[str], timeout_s: float = 40.0) -> None:
        """Wait until each of the commands has a receipt."""

        def all_there() -> bool:
            self.drain()
            return all(correlation_id in self._receipts for correlation_id in correlation_ids)

        eventually(all_there, timeout_s)

    def record_of(self, correlation_id: str) -> Sent:
        """Return the record of a command's first receipt, which has come."""
        return self._receipts[correlation_id][0][1]

    def wait_dead_letter(self, check: Callable[[Sent], bool], timeout_s: float = 15.0) -> Sent:
        """Wait for a dead letter that passes the check, and return it."""

        def find() -> Sent | None:
            self.drain()
            return next((sent for sent in self.dead_letters if check(sent)), None)

        found = eventually(find, timeout_s)
        assert found is not None
        return found

    def drain(self) -> None:
        """Read what has come."""
        for message in self._consumer.consume(1000, 0.05):
            if message.error() is not None:
                continue
            headers = header_texts(message.headers())
            key, value = message.key(), message.value()
            assert not isinstance(key, str) and not isinstance(value, str)  # noqa: PT018 - for the checker alone
            sent = Sent(key, value, headers, message.partition() or 0, message.offset() or 0)
            if message.topic() == topics.DEAD_LETTERS:
                self.dead_letters.append(sent)
            else:
                receipt = self._decoder.decode(value)
                assert isinstance(receipt, CommandReceipt)
                self._receipts.setdefault(receipt.correlation_id, []).append((receipt, sent))

    def close(self) -> None:
        """Close the clients."""
        self._consumer.close()
        self._registry.close()


@dataclass
class LaneProcess:
    """A lane as the platform runs it. Used as a context manager, it is stopped when the block ends."""

    engines: EngineSet
    store: str
    folder: Path
    name: str = "lane-0"
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def ready_file(self) -> Path:
        """The file that tells that the lane works."""
        return self.folder / f"{self.name}.ready"

    @property
    def log(self) -> str:
        """What the lane has written."""
        path = self.folder / f"{self.name}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def pid(self) -> int:
        """The running process's ID."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, wait: bool = True) -> "LaneProcess":
        """Start the lane where it does not run, and wait until it works."""
        if self._process is not None and self._process.poll() is None:
            return self
        self.ready_file.unlink(missing_ok=True)
        environment = self.engines.environment | {
            "LANE_NAME": self.name,
            "READY_FILE": str(self.ready_file),
            "OTEL_SDK_DISABLED": "true",
            **self.settings,
        }
        with (self.folder / f"{self.name}.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "processor", "--store", self.store],
                env=environment,
                cwd=CHECKOUT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> dict[str, Any]:
        """Wait until the lane works, and return what its file says."""
        process = self._process
        assert process is not None
        eventually(lambda: process.poll() is not None or self.told().get("partitions") is not None, _READY_TIMEOUT_S)
        assert process.poll() is None, f"the lane ended at its start:\n{self.log}"
        return self.told()

    def told(self) -> dict[str, Any]:
        """Return what the lane's health file says; nothing where there is none."""
        if not self.ready_file.exists():
            return {}
        content: dict[str, Any] = json.loads(self.ready_file.read_text())
        return content

    def partitions(self) -> set[int]:
        """Return the partitions that the lane has, as its file says."""
        return set(self.told().get("partitions") or ())

    def stop(self) -> int:
        """Stop the lane as the supervisor would, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the lane, and wait until it is dead."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None


def run_module(engines: EngineSet, *arguments: str) -> None:
    """Run `python -m ARGUMENTS` to its end, which must be a good one."""
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=engines.environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def states(receipts: Sequence[CommandReceipt]) -> list[tuple[int, str]]:
    """Return state and reason of each receipt."""
    return [(receipt.state, receipt.error.reason) for receipt in receipts]
