"""The load: clients in threads, each of which sends its commands one after the other and writes down what happens."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from polystream.v1.operations_pb2 import Operation, WaitOperationRequest
from polystream.v1.operations_pb2_grpc import OperationServiceStub

from cli.verify.doors import CommandDoor, GrpcCommandDoor, RestCommandDoor, open_channel
from cli.verify.history import Answer, Attempt, CommandEntry, Purpose
from cli.verify.pace import Pace
from cli.verify.stamps import stamp_of
from cli.verify.workload import ABSENT_ID, ABSENT_UUID, PlannedCommand, Repetition, Workload
from mesh.catalog import Catalog
from mesh.error_classes.classes import ErrorClass
from mesh.errors import Reason, read_details

_CALL_TIMEOUT_S: Final = 6.0
_RETRY_MAX_S: Final = 90.0  # of one command; then its client sends nothing more about that entity
_PAUSE_FIRST_S: Final = 0.1
_PAUSE_MAX_S: Final = 1.0
_WAIT_CALL_S: Final = 3.0
_GIVEN_UP: Final = {name for name, one in Reason.__members__.items() if one.value.error_class is ErrorClass.SET_APART}
_LOOK_S: Final = 0.5  # at the time that goes now slower, now faster


class LoadRun:
    """Sends a workload to the doors of one platform. `entries` grows while it does."""

    def __init__(
        self,
        workload: Workload,
        grpc_address: str,
        rest_url: str,
        catalog: Catalog,
        token: str,
        *,
        wait_max_s: float = 120.0,
    ) -> None:
        """`token` begins every request ID; `wait_max_s` is how long an operation may take that another one needs."""
        self._workload = workload
        self._grpc_address, self._rest_url = grpc_address, rest_url
        self._catalog = catalog
        self._token = token
        self.wait_max_s = wait_max_s
        self._stop = threading.Event()
        self.pace = Pace()
        self._failures: list[str] = []
        self.entries: list[CommandEntry] = []
        self._began_s = time.monotonic()

    @property
    def failures(self) -> Sequence[str]:
        """What has ended a client before its time: a mistake in this program."""
        return self._failures

    @property
    def acknowledged(self) -> int:
        """How many commands were acknowledged so far."""
        return sum(entry.is_acknowledged for entry in list(self.entries))

    def begin(self) -> list[threading.Thread]:
        """Create the user that all rest on, then start every client in a thread of its own."""
        self._began_s = time.monotonic()
        with closing(self._open()) as client:
            client.send(self._workload.anchor)
            client.wait_final(self._workload.anchor.serial)
        self._began_s = time.monotonic()
        self.pace.begin()
        threads = [
            threading.Thread(target=self._run, args=(planned,), name=f"client-{number}", daemon=True)
            for number, planned in enumerate(self._workload.by_client)
        ]
        for thread in threads:
            thread.start()
        return threads

    def end(self, threads: Sequence[threading.Thread]) -> None:
        """Have every client stop after its call, and wait for that."""
        self._stop.set()
        for thread in threads:
            thread.join(_CALL_TIMEOUT_S + _PAUSE_MAX_S)

    @property
    def took_s(self) -> float:
        """From the first client's start to the last attempt's end, in seconds."""
        return max((attempt.end_s for entry in self.entries for attempt in entry.attempts), default=0.0)

    def now_s(self) -> float:
        """Return the time since the load began, in seconds."""
        return time.monotonic() - self._began_s

    def pause(self, seconds: float) -> bool:
        """Wait, and tell whether to go on."""
        return not self._stop.wait(max(0.0, seconds))

    def _open(self) -> "_LoadClient":
        return _LoadClient(self._grpc_address, self._rest_url, self._catalog, self._token, self)

    def _run(self, planned: Sequence[PlannedCommand]) -> None:
        try:
            with closing(self._open()) as client:
                for command in planned:
                    while (early_s := command.at_s - self.pace.now_s()) > 0:
                        if not self.pause(min(early_s, _LOOK_S)):
                            return
                    client.send(command)
        except Exception as error:  # noqa: BLE001 - told at the end, where the run counts as not made
            self._failures.append(f"{type(error).__name__}: {error}")


class _LoadClient:
    """One client: its connections, and what it knows of its own commands."""

    def __init__(self, grpc_address: str, rest_url: str, catalog: Catalog, token: str, run: LoadRun) -> None:
        doors: tuple[CommandDoor, ...] = (GrpcCommandDoor(grpc_address, catalog), RestCommandDoor(rest_url, catalog))
        self._doors: Mapping[str, CommandDoor] = {door.name: door for door in doors}
        self._channel = open_channel(grpc_address)
        self._operations = OperationServiceStub(self._channel)
        self._catalog = catalog
        self._token = token
        self._run = run
        self._sent: dict[int, CommandEntry] = {}  # by serial
        self._final: dict[int, Operation] = {}  # by serial
        self._open_serials: dict[str, list[int]] = {}  # by entity: acknowledged, and not known to be final
        self._given_up: set[str] = set()  # entities of which a command's fate is unknown

    def close(self) -> None:
        """Close the connections."""
        for door in self._doors.values():
            door.close()
        self._channel.close()

    def send(self, planned: PlannedCommand) -> bool:
        """Send a command until it is answered; False where it can't be sent, since its place would not be known."""
        if planned.entity in self._given_up:
            return False
        fields = self._fields(planned)
        if fields is None:
            return False
        declared = self._catalog.commands[planned.command]
        key = str(fields.get(declared.key_field, ""))
        if not self._wait_for_other_keys(planned.entity, key, declared.stores):
            return False
        entry = CommandEntry(
            *(planned.serial, planned.client, planned.entity, planned.command, fields),
            request_id=f"{self._token}-{planned.serial}",
            key=key,
            stores=declared.stores,
            refusal=planned.refusal,
        )
        self._sent[planned.serial] = entry
        self._run.entries.append(entry)
        self._send(entry, planned)
        if entry.is_acknowledged:
            self._open_serials.setdefault(planned.entity, []).append(planned.serial)
        elif not entry.is_refused:
            self._given_up.add(planned.entity)
        return True

    def wait_final(self, serial: int) -> Operation | None:
        """Return an operation once it is final; None where it is not in time, or was never acknowledged.

        One that a store has given up is not: it is redriven.
        """
        entry = self._sent.get(serial)
        if entry is None or not entry.is_acknowledged:
            return None
        give_up_s = time.monotonic() + self._run.wait_max_s
        request = WaitOperationRequest(correlation_id=entry.correlation_id, timeout=Duration(seconds=int(_WAIT_CALL_S)))
        while serial not in self._final and time.monotonic() < give_up_s:
            with suppress(grpc.RpcError):
                operation = self._operations.WaitOperation(request, timeout=2 * _WAIT_CALL_S)
                if _is_final(operation):
                    self._final[serial] = operation
                    break
            if not self._run.pause(_PAUSE_FIRST_S):
                break
        return self._final.get(serial)

    def _fields(self, planned: PlannedCommand) -> dict[str, Any] | None:
        """Return the request's fields with what earlier commands made; None where that is not known in time."""
        fields = dict(planned.fields)
        for name, serial in planned.made_by.items():
            maker = self._sent.get(serial)
            if maker is None or not maker.is_acknowledged:
                fields[name] = ABSENT_UUID if name in {"view_id", "session_id"} else ABSENT_ID
            elif name in {"view_id", "session_id"}:
                fields[name] = maker.correlation_id
            else:
                operation = self.wait_final(serial)
                if operation is None:
                    return None
                fields[name] = stamp_of(operation.result.type_url, operation.result.value) or ABSENT_ID
        return fields

    def _wait_for_other_keys(self, entity: str, key: str, stores: Sequence[str]) -> bool:
        """Wait for the entity's earlier commands with another Kafka key and a common store.

        Only commands of one key are applied in order: a session's own key is not its user's.
        """
        still_open = []
        for serial in self._open_serials.get(entity, ()):
            entry = self._sent[serial]
            if entry.key == key or not set(entry.stores) & set(stores):
                still_open.append(serial)
            elif self.wait_final(serial) is None:
                return False
        self._open_serials[entity] = still_open
        return True

    def _send(self, entry: CommandEntry, planned: PlannedCommand) -> None:
        fields = {**entry.fields, "request_id": entry.request_id}
        if not self._until_answered(entry, planned.door, fields, Purpose.FIRST) or not entry.is_acknowledged:
            return
        other_door = "rest" if planned.door == "grpc" else "grpc"
        if planned.repetition is Repetition.AGAIN:
            self._until_answered(entry, other_door, fields, Purpose.AGAIN)
        elif planned.repetition is Repetition.OTHER:
            self._until_answered(entry, other_door, {**fields, **planned.other}, Purpose.OTHER)

    def _until_answered(self, entry: CommandEntry, door: str, fields: Mapping[str, Any], purpose: Purpose) -> bool:
        """Send a request until it is answered; False where it never is."""
        give_up_s = time.monotonic() + _RETRY_MAX_S
        pause_s = _PAUSE_FIRST_S
        while True:
            begin_s = self._run.now_s()
            answer = self._doors[door].send(entry.command, fields, _CALL_TIMEOUT_S)
            entry.attempts.append(
                Attempt(
                    *(purpose, door, begin_s, self._run.now_s()),
                    *(answer.answer, answer.code, answer.reason, answer.correlation_id),
                )
            )
            if answer.answer is not Answer.UNKNOWN:
                return True
            if time.monotonic() > give_up_s or not self._run.pause(pause_s):
                return False
            pause_s = min(_PAUSE_MAX_S, 2 * pause_s)
            if purpose is Purpose.FIRST:
                purpose = Purpose.RETRY


Progress = Callable[[str], None]


def _is_final(operation: Operation) -> bool:
    if operation.state == Operation.ACCEPTED:
        return False
    return not operation.HasField("error") or read_details(operation.error).reason not in _GIVEN_UP
