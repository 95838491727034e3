"""`python -m tests.support.fuzz.record_run DATA_DIR --seed N --count N`: foreign records into a running platform.

Good commands go through the gateway meanwhile. Give it a platform of its own, freshly started, of one gateway and one
lane a store. It ends with 1 where a good command was not applied and told, or where the parts' counts of what they set
apart and passed over are not those of what is on the topics.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from google.protobuf.message import Message
from polystream.options.v1 import options_pb2
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from cli.running import find_platform
from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS, load_catalog
from mesh.codec import Decoder, Encoder
from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError
from mesh.health.report import read_file
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.topic_reader import TopicReader
from tests.support.foreign_records import RawRecord
from tests.support.fuzz.records import Case, RecordGenerator, Templates
from tests.support.people import person
from tests.support.raw_producer import RawProducer

_BATCH: Final = 500
_RECORDS_A_COMMAND: Final = 100
_COMMANDS_MIN: Final = 20
_FOREIGN_SCHEMAS: Final = (
    {"schemaType": "PROTOBUF", "schema": 'syntax = "proto3"; message Foreign { string name = 1; }'},
    {"schemaType": "JSON", "schema": '{"type": "object"}'},
    {"schema": '"long"'},
    {"schema": '{"type": "record", "name": "polystream.v1.CommandReceipt", "fields": []}'},
)
_BOMB_BYTES: Final = 120_000_000  # of zeros, which zstd makes eleven thousand of: librdkafka unpacks a hundred million
_BOMBS: Final = 1  # of each topic
_FAR_FUTURE_MS: Final = 3_000_000  # a broker may refuse a batch for one such record: those go by themselves
_TAKEN_SHARE_MIN: Final = 0.8  # of what was sent: what a broker refuses tells nothing
_DONE_TIMEOUT_S: Final = 60.0
_SETTLED_S: Final = 5.0  # without a change of any count: nothing is under way any more
_SHOWN: Final = 5
_TTL_MS: Final = 86_400_000  # OPERATION_TTL_S, for how long Redis keeps operations
_ROOT: Final = Path(__file__).parents[3]


@dataclass
class Found:
    """What there is on the topics."""

    set_apart: dict[str, set[tuple[int, int]]] = field(default_factory=dict)  # by store: what its lane has to set apart
    letters: dict[str, set[tuple[int, int]]] = field(default_factory=dict)  # by store: what it did
    no_receipts: int = 0
    old_receipts: int = 0
    without_id: int = 0  # on all topics
    not_unpacked: Counter[str] = field(default_factory=Counter)  # by topic
    records: Counter[str] = field(default_factory=Counter)


class RecordFuzz:
    """One run against one platform."""

    def __init__(self, data_dir: Path, seed: int, count: int) -> None:
        state = find_platform(data_dir)
        assert state is not None, f"nothing runs on {data_dir}"
        self._data_dir, self._seed, self._count = data_dir, seed, count
        self._endpoints = state.endpoints
        self._pids = {process.name: int(process.pid or 0) for process in state.processes}
        self._kafka = KafkaSettings(bootstrap_servers=str(self._endpoints["kafka"]))
        self._registry = RegistryClient(RegistrySettings(url=str(self._endpoints["schema_registry"])))
        self._rest = httpx.Client(base_url=str(self._endpoints["rest"]), timeout=60)
        self._good: dict[str, str] = {}  # correlation IDs of good commands, and whose name they give
        self._sent = 0

    def run(self) -> list[str]:
        """Send everything and return what is wrong, a line each."""
        began_s = time.monotonic()
        with ThreadPoolExecutor(1) as commands:
            done = commands.submit(self._send_commands)
            self._send_records()
            done.result()
        sent_s = time.monotonic()
        faults = self._commands_left()
        told_s = time.monotonic()
        faults += self._settled_faults()
        print(  # noqa: T201 - a program of its own
            f"sent {self._sent} records and {len(self._good)} commands in {sent_s - began_s:.0f} s, "
            f"all told after {told_s - sent_s:.0f} s more, all counted after {time.monotonic() - told_s:.0f} s more"
        )
        return faults + self._parts_faults() + self._command_line_faults()

    def _send_commands(self) -> None:
        for _ in range(max(_COMMANDS_MIN, self._count // _RECORDS_A_COMMAND)):
            fields = person()
            answer = self._rest.post("/v1/users", json=fields).raise_for_status().json()
            self._good[answer["correlation_id"]] = str(fields["name"])

    def _send_records(self) -> None:
        generator = RecordGenerator(self._seed, self._templates(), _Growing(self._good))
        numbers = range(self._count)
        servers = self._kafka.bootstrap_servers
        with RawProducer(servers) as producer, RawProducer(servers, {"batch.num.messages": "1"}) as careful:
            with RawProducer(servers, {"compression.type": "zstd", "message.max.bytes": "200000000"}) as bombs:
                for topic in (topics.COMMANDS, topics.RECEIPTS, topics.DEAD_LETTERS):
                    for partition in range(_BOMBS):
                        bombs.send(topic, partition, None, bytes(_BOMB_BYTES), ())
                        bombs.flush()
            for number in numbers:
                case = generator.case(number)
                _send(careful if _is_refusable(case.record) else producer, case)
                if number % _BATCH == 0:
                    producer.flush()
                    careful.flush()
        self._sent = self._count + 3 * _BOMBS

    def _templates(self) -> Templates:
        commands = []
        ids = []
        for name, command in load_catalog().commands.items():
            schema = load_schema(command.request_type)
            ids.append(self._registry.register(topics.COMMANDS, command.request_type, schema))
            commands.append((name, _encode(command.request_class(), ids[-1])))
        receipt_name = str(CommandReceipt.DESCRIPTOR.full_name)
        receipt_id = self._registry.register(topics.RECEIPTS, receipt_name, load_schema(receipt_name))
        receipt = CommandReceipt(
            correlation_id=new_correlation_id(),
            command="DeleteUser",
            store=options_pb2.POSTGRESQL,
            state=Operation.SUCCEEDED,
            user_id=7,
        )
        for moment in (receipt.accept_time, receipt.receive_time, receipt.complete_time):
            moment.GetCurrentTime()
        foreign = [self._register_foreign(n, each) for n, each in enumerate(_FOREIGN_SCHEMAS)]
        return Templates(commands, _encode(receipt, receipt_id), [*ids, receipt_id, *filter(None, foreign)])

    def _register_foreign(self, number: int, schema: dict[str, str]) -> int | None:
        """Have the registry take a schema of others; None where it takes none of that kind."""
        url = f"{self._endpoints['schema_registry']}/subjects/foreign-{number}/versions"
        answer = httpx.post(url, json=schema)
        return int(answer.json()["id"]) if answer.is_success else None

    def _commands_left(self) -> list[str]:
        """Wait until every good command is told; return those that are not, or not as they should be."""
        left = dict(self._good)
        wrong: list[str] = []
        until_s = time.monotonic() + _DONE_TIMEOUT_S + self._count / 500
        while left and time.monotonic() < until_s:
            for id_ in list(left):
                operation = self._rest.get(f"/v1/operations/{id_}").raise_for_status().json()
                if operation["state"] == "ACCEPTED":
                    break  # the others came later
                wrong += self._wrong(id_, left.pop(id_), operation)
            else:
                continue
            time.sleep(0.2)  # between two looks
        untold = [f"{len(left)} good commands are not told, such as {next(iter(left))}"] if left else []
        return wrong[:_SHOWN] + untold

    def _wrong(self, id_: str, name: str, operation: dict[str, Any]) -> list[str]:
        if operation["state"] != "SUCCEEDED":
            return [f"the good command {id_} is {operation['state']}: {json.dumps(operation.get('error'))}"]
        user = self._rest.get(f"/v1/users/{operation['user_id']}")
        if user.status_code != httpx.codes.OK or user.json()["name"] != name:
            return [f"the good command {id_} was not applied: {user.text[:200]}"]
        return []

    def _settled_faults(self) -> list[str]:
        """Compare what is on the topics with the parts' counts, once these do not change any more."""
        until_s = time.monotonic() + _DONE_TIMEOUT_S + self._count / 200
        told: dict[str, dict[str, int]] = {}
        while (self._counts() != told or self._lag() > 0) and time.monotonic() < until_s:
            told = self._counts()
            time.sleep(_SETTLED_S)
        found = self._read_topics()
        faults = _compare(found, told)
        print(f"on the topics {dict(found.records)}, not unpacked {dict(found.not_unpacked)}; counted {told}")  # noqa: T201
        if sum(found.records.values()) < _TAKEN_SHARE_MIN * self._sent:
            faults.append(f"the broker took only {dict(found.records)} of {self._sent} records")
        return faults

    def _read_topics(self) -> Found:
        catalog, found = load_catalog(), Found()
        decoder = Decoder(CommandReceipt, load_schema(str(CommandReceipt.DESCRIPTOR.full_name)), self._registry)
        with TopicReader(self._kafka) as reader:
            for topic in (topics.COMMANDS, topics.RECEIPTS, topics.DEAD_LETTERS):
                for record in reader.read(topic, reader.extents(topic)):
                    found.records[topic] += 1
                    headers = record.read_headers()
                    found.without_id += not headers.correlation_id
                    if topic == topics.COMMANDS:
                        if headers.text(topics.SERVICE) == "gateway-0":
                            continue
                        command = catalog.commands.get(headers.command)
                        for store in command.stores if command else (LANE_OF_UNKNOWN_COMMANDS,):
                            found.set_apart.setdefault(store, set()).add((record.partition, record.offset))
                    elif topic == topics.RECEIPTS:
                        _add_receipt(found, record, decoder)
                    elif headers.text(topics.DLQ_LANE).startswith("lane-") and headers.dead_letter_source:
                        found.letters.setdefault(headers.text(topics.DLQ_STORE), set()).add(headers.dead_letter_source)
                found.not_unpacked[topic] += reader.passed_over
        return found

    def _counts(self) -> dict[str, dict[str, int]]:
        return {name: dict(read_file(path).report.counts) for name, path in self._files().items()}

    def _lag(self) -> int:
        reports = [read_file(path).report for path in self._files().values()]
        return sum(report.lag.records for report in reports if report.lag is not None)

    def _files(self) -> dict[str, Path]:
        found = {}
        for name, pid in self._pids.items():
            environment = psutil.Process(pid).environ()
            for variable in ("READY_FILE", "GATEWAY_READY_FILE", "MONITOR_READY_FILE"):
                if variable in environment and name.startswith(("lane-", "gateway-", "monitor")):
                    found[name] = Path(environment[variable])
        return found

    def _parts_faults(self) -> list[str]:
        """Return which parts were started again, and what health says."""
        state = find_platform(self._data_dir)
        assert state is not None
        now = {process.name: process.pid for process in state.processes}
        faults = [f"{name} was started again" for name, pid in self._pids.items() if pid and now.get(name) != pid]
        health = self._rest.get("/health").json()
        return faults + ([] if health["status"] == "HEALTHY" else [f"health: {json.dumps(health)[:2000]}"])

    def _command_line_faults(self) -> list[str]:
        """List, show and plan to send again the dead letters, and explain a good command."""
        listed = self._command("dlq", "list", "--json")
        letters = json.loads(listed.stdout)["letters"] if listed.returncode == 0 else []
        runs = [listed, self._command("dlq", "list"), self._command("dlq", "redrive", "--all", "--dry-run", "--json")]
        runs += [self._command("dlq", "show", one["letter"]) for one in letters[:1]]
        faults = [
            f"{done.args[3:7]} ended with {done.returncode}: {done.stderr[-500:]}"
            for done in runs
            if done.returncode != 0 or "\x1b" in done.stdout or "\x9b" in done.stdout
        ]
        story = self._rest.get(f"/v1/operations/{next(iter(self._good))}:explain").raise_for_status().json()
        if story["operation"]["state"] != "SUCCEEDED":
            faults.append(f"the story of a good command: {json.dumps(story['operation'])[:500]}")
        return faults if letters else [*faults, "there are no dead letters"]

    def _command(self, *arguments: str) -> Any:
        from tests.support.bounded import run_bounded  # noqa: PLC0415

        began_s = time.monotonic()
        argv = (sys.executable, "-m", "cli", *arguments, "--data-dir", str(self._data_dir))
        done = run_bounded(argv, timeout_s=300, cwd=_ROOT)
        print(f"{' '.join(arguments[:3])} took {time.monotonic() - began_s:.1f} s")  # noqa: T201
        return done


class _Growing(Sequence[str]):
    """The keys of a dictionary that another thread fills, by number."""

    def __init__(self, growing: dict[str, str]) -> None:
        self._growing = growing

    def __len__(self) -> int:
        return min(len(self._growing), _COMMANDS_MIN)

    def __getitem__(self, index: Any) -> Any:
        return list(self._growing)[index]


def _add_receipt(found: Found, record: KafkaRecord, decoder: Decoder) -> None:
    if record.timestamp_ms < time.time() * 1000 - _TTL_MS:
        found.old_receipts += 1
        return
    try:
        decoder.decode(record.value, record.receive_time_ns)
    except PolystreamError:
        found.no_receipts += 1


def _compare(found: Found, told: dict[str, dict[str, int]]) -> list[str]:
    """Return where the counts are not what is on the topics."""
    faults = []
    for store, expected in found.set_apart.items():
        letters = found.letters.get(store, set())
        if letters != expected:
            missing, more = sorted(expected - letters), sorted(letters - expected)
            faults.append(f"{store}: no dead letter for {missing[:_SHOWN]}, one too many for {more[:_SHOWN]}")
        lane = f"lane-{store.lower()}-0"
        counted = told[lane].get("set_apart", 0), told[lane].get("passed_over", 0)
        if counted != (len(expected), found.not_unpacked[topics.COMMANDS]):
            on_topic = len(expected), found.not_unpacked[topics.COMMANDS]
            faults.append(f"{lane} counts {counted} as set apart and passed over, on the topic are {on_topic}")
    receipts = found.no_receipts + found.old_receipts + found.not_unpacked[topics.RECEIPTS]
    if told["gateway-0"].get("passed_over", 0) != receipts:
        faults.append(f"gateway-0 passed over {told['gateway-0'].get('passed_over')}, on the topic are {receipts}")
    silent = found.without_id + sum(found.not_unpacked.values())
    if told["monitor"].get("passed_over", 0) != silent:
        faults.append(f"the monitor passed over {told['monitor'].get('passed_over')}, on the topics are {silent}")
    return faults


def _encode(message: Message, schema_id: int) -> bytes:
    name = str(message.DESCRIPTOR.full_name)
    return Encoder(message.DESCRIPTOR, load_schema(name), schema_id).encode(message)  # type: ignore[arg-type] # upb's


def _is_refusable(record: RawRecord) -> bool:
    is_late = record.timestamp_ms > time.time() * 1000 + _FAR_FUTURE_MS
    return is_late or record.timestamp_ms < 0


def _send(producer: RawProducer, case: Case) -> None:
    record = case.record
    producer.send(case.topic, case.partition, record.key, record.value, record.headers, record.timestamp_ms)


def main() -> int:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fuzz.record_run", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--count", type=int, default=100_000)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.count} records", flush=True)  # noqa: T201
    faults = RecordFuzz(arguments.data_dir.resolve(), arguments.seed, arguments.count).run()
    print("\n".join(faults) or "nothing found")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
