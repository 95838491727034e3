"""The admin service as the monitor has it: dead letters and integrity on real stores, and its process's life."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from google.type.money_pb2 import Money
from polystream.admin.v1.dead_letters_pb2 import (
    DeadLetter,
    DeadLetterFilter,
    ListDeadLettersRequest,
    SettleDeadLettersRequest,
    SettleDeadLettersResponse,
)
from polystream.admin.v1.integrity_pb2 import CheckIntegrityRequest, IntegrityRun, RepairIntegrityRequest
from polystream.options.v1.options_pb2 import Store
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment
from polystream.v1.users_pb2 import CreateUserRequest

from mesh.errors import PolystreamError, Reason
from monitor.admin import Admin, AdminProcess
from monitor.integrity_runs import IntegrityRuns
from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import CHECKOUT, EngineSet
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
_STORES = ("postgresql", "mongodb", "redis")
_Result = SettleDeadLettersResponse.Result
_PRINCIPAL, _JUSTIFICATION = "ana", "the rule is gone"


@pytest.fixture(scope="module")
def engines(lease: Lease) -> EngineSet:
    """Run all engines, provisioned."""
    started = lease(*_STORES, "kafka", "schema_registry")
    run_module(started, "stack.provision")
    run_module(started, "processor", "migrate")
    return started


@pytest.fixture(scope="module")
def lanes(engines: EngineSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, LaneProcess]]:
    """Run the three lanes, which hear of no monitor."""
    folder = tmp_path_factory.mktemp("lanes")
    made = {s: LaneProcess(engines, s, folder, f"lane-{s}-0", {"MONITOR_ADDRESS": "127.0.0.1:1"}) for s in _STORES}
    try:
        for lane in made.values():
            lane.start()
        yield made
    finally:
        for lane in made.values():
            lane.stop()


@pytest.fixture
def wire(engines: EngineSet) -> Iterator[Wire]:
    """Return the test's own end of the topics."""
    opened = Wire(engines)
    yield opened
    opened.close()


@pytest.fixture
def settings(engines: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the settings of the engines in this process's environment, as the monitor has them."""
    for name, value in engines.settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def process(settings: None, tmp_path: Path) -> AsyncIterator[AdminProcess]:
    """Return a process that is not started yet."""
    del settings
    made = AdminProcess(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def runs(tmp_path: Path) -> IntegrityRuns:
    """Return where runs are kept."""
    return IntegrityRuns(tmp_path)


@pytest.fixture
def admin(process: AdminProcess, runs: IntegrityRuns, lanes: Mapping[str, LaneProcess]) -> Admin:
    """Return the service."""
    del lanes
    return Admin(process, runs)


@contextmanager
def _refusing(engines: EngineSet) -> Iterator[None]:
    """Have PostgreSQL refuse payments of 66 as no handler expects it."""
    with psycopg.connect(engines.endpoints["postgresql"], autocommit=True) as db:
        db.execute("ALTER TABLE pagamentos ADD CONSTRAINT broken CHECK (valor <> 66) NOT VALID")
        try:
            yield
        finally:
            db.execute("ALTER TABLE pagamentos DROP CONSTRAINT broken")


def _pay(user_id: int, units: int) -> CreatePaymentRequest:
    amount = Money(currency_code="BRL", units=units)
    return CreatePaymentRequest(user_id=user_id, amount=amount, method=Payment.Method.PIX)


def _parked(wire: Wire, user_id: int) -> tuple[str, str]:
    """Have a user's payment given up, and another wait behind it; return their correlation IDs."""
    created = wire.send(CreateUserRequest(user_id=user_id, **person()))
    wire.flush()
    wire.wait_receipt(created)
    broken = wire.send(_pay(user_id, 66))
    wire.flush()
    wire.wait_dead_letter(lambda sent: sent.headers.get("correlation_id") == broken)
    behind = wire.send(_pay(user_id, 10))
    wire.flush()
    wire.wait_receipt(behind)  # that it waits
    return broken, behind


def _payments(engines: EngineSet, user_id: int) -> int:
    with psycopg.connect(engines.endpoints["postgresql"]) as db:
        row = db.execute("SELECT count(*) FROM pagamentos WHERE user_id = %s", (user_id,)).fetchone()
    assert row is not None
    return int(row[0])


def _named(name: str) -> SettleDeadLettersRequest:
    return SettleDeadLettersRequest(names=[name], principal=_PRINCIPAL, justification=_JUSTIFICATION)


async def _settled(
    admin: Admin, request: SettleDeadLettersRequest, *, discard: bool = False
) -> list[SettleDeadLettersResponse]:
    return [step async for step in admin.settle(request, discard=discard)]


def _only(user_id: int) -> DeadLetterFilter:
    return DeadLetterFilter(user_id=user_id, store=Store.POSTGRESQL, status=DeadLetter.PARKED)


async def test_a_parked_payment_is_listed_planned_and_redriven(engines: EngineSet, wire: Wire, admin: Admin) -> None:
    """By cause, with what waits behind it; a dry run sends nothing; what is given up again is told; then it is done."""
    user_id = 701
    with _refusing(engines):
        broken, behind = await asyncio.to_thread(_parked, wire, user_id)
        listed = await admin.list_dead_letters(ListDeadLettersRequest(filter=_only(user_id)))
        assert [(one.correlation_id, one.status, list(one.waiting)) for one in listed.dead_letters] == [
            (broken, DeadLetter.PARKED, [behind])
        ]
        cause = listed.causes[0]
        assert (cause.reason, cause.command, cause.parked_count, cause.waiting_count) == (
            *("HANDLER_FAILED", "CreatePayment"),
            *(1, 1),
        )

        dry = SettleDeadLettersRequest(filter=_only(user_id), validate_only=True)
        (plan,) = await _settled(admin, dry)
        assert (plan.plan.chosen_count, plan.plan.waiting_count) == (1, 1)

        with pytest.raises(PolystreamError) as refused:
            await _settled(admin, SettleDeadLettersRequest(names=[broken]))
        assert [fault.field for fault in refused.value.faults] == ["principal", "justification"]

        again = await _settled(admin, _named(broken))
        assert [result.outcome for result in again[1].batch.results] == [_Result.DEAD_LETTERED]
        assert not again[-1].end.done
        assert [one.correlation_id for one in again[-1].end.parked] == [broken]

    done = await _settled(
        admin, SettleDeadLettersRequest(filter=_only(user_id), principal=_PRINCIPAL, justification=_JUSTIFICATION)
    )
    assert [result.outcome for result in done[1].batch.results] == [_Result.SUCCEEDED]
    assert done[-1].end.done
    await asyncio.to_thread(eventually, lambda: _payments(engines, user_id) == 2, 20)
    assert (await admin.get_dead_letter(broken)).status == DeadLetter.SETTLED


async def test_a_parked_payment_is_discarded(engines: EngineSet, wire: Wire, admin: Admin) -> None:
    """It is given up for good, and what waits behind it goes on."""
    user_id = 702
    with _refusing(engines):
        broken, _ = await asyncio.to_thread(_parked, wire, user_id)
        done = await _settled(admin, _named(broken), discard=True)
        assert [result.outcome for result in done[1].batch.results] == [_Result.DISCARDED]
        assert done[-1].end.done
        await asyncio.to_thread(eventually, lambda: _payments(engines, user_id) == 1, 20)


async def test_one_change_at_a_time(
    engines: EngineSet, wire: Wire, admin: Admin, lanes: Mapping[str, LaneProcess]
) -> None:
    """A second redrive is told so while the first one waits for its lane; reading goes on."""
    user_id = 703
    with _refusing(engines):
        broken, _ = await asyncio.to_thread(_parked, wire, user_id)
    os.kill(lanes["postgresql"].pid, signal.SIGSTOP)
    try:
        first = admin.settle(_named(broken), discard=False)
        assert (await anext(first)).plan.chosen_count == 1
        with pytest.raises(PolystreamError) as busy:
            await _settled(admin, _named(broken))
        assert busy.value.reason is Reason.ADMIN_BUSY
        assert (await admin.get_dead_letter(broken)).status == DeadLetter.PARKED
    finally:
        os.kill(lanes["postgresql"].pid, signal.SIGCONT)
    rest = [step async for step in first]
    assert rest[-1].end.done


async def test_what_there_is_not_is_told(admin: Admin) -> None:
    """A dead letter that there is not; names and a filter at once."""
    with pytest.raises(PolystreamError) as missing:
        await admin.get_dead_letter("0:99999999")
    assert missing.value.reason is Reason.DEAD_LETTER_NOT_FOUND
    with pytest.raises(PolystreamError) as both:
        await _settled(admin, SettleDeadLettersRequest(names=["0:1"], filter=DeadLetterFilter(), validate_only=True))
    assert both.value.reason is Reason.INVALID_FIELD


async def test_what_stands_for_nothing_is_told(admin: Admin) -> None:
    """A size below nothing, a number that is no store and no status: by the field, and not to be tried again."""
    strange = DeadLetterFilter(store=99, status=77)  # type: ignore[arg-type] # as a later version may send it
    with pytest.raises(PolystreamError) as size:
        await admin.list_dead_letters(ListDeadLettersRequest(page_size=-1))
    with pytest.raises(PolystreamError) as listed:
        await admin.list_dead_letters(ListDeadLettersRequest(filter=strange))
    with pytest.raises(PolystreamError) as settled:
        await _settled(admin, SettleDeadLettersRequest(filter=strange, validate_only=True))
    assert {one.value.reason for one in (size, listed, settled)} == {Reason.INVALID_FIELD}
    assert [fault.field for fault in size.value.faults] == ["page_size"]
    for told in (listed, settled):
        assert [fault.field for fault in told.value.faults] == ["filter.store", "filter.status"]


async def test_drift_is_found_planned_and_repaired(
    engines: EngineSet, wire: Wire, admin: Admin, runs: IntegrityRuns, tmp_path: Path
) -> None:
    """A row that somebody deleted; each run is kept, also over a restart of the monitor."""
    user_id = 704
    created = wire.send(CreateUserRequest(user_id=user_id, **person()))
    paid = wire.send(_pay(user_id, 20))
    wire.flush()
    await asyncio.to_thread(wire.wait_all, [created, paid])
    checked = await admin.check_integrity(CheckIntegrityRequest(principal="ana"))
    assert (checked.outcome, checked.problem) == (IntegrityRun.SOUND, "")
    assert checked.compared_count > 0
    assert [lag.records for lag in checked.lags] == [0, 0, 0]

    with psycopg.connect(engines.endpoints["postgresql"], autocommit=True) as db:
        db.execute("DELETE FROM pagamentos WHERE user_id = %s", (user_id,))
    drifted = await admin.check_integrity(CheckIntegrityRequest(principal="ana"))
    assert drifted.outcome == IntegrityRun.DRIFT
    assert {count.kind: count.count for count in drifted.counts} == {"ROW_GONE": 1}
    assert [(one.kind, one.store, one.place) for one in drifted.findings] == [
        ("ROW_GONE", Store.POSTGRESQL, "pagamentos")
    ]
    plan = await admin.repair_integrity(RepairIntegrityRequest(validate_only=True))
    assert [one.done for one in plan.findings] == [True]
    assert _payments(engines, user_id) == 0

    repaired = await admin.repair_integrity(RepairIntegrityRequest(principal=_PRINCIPAL, justification=_JUSTIFICATION))
    assert (repaired.outcome, repaired.justification) == (IntegrityRun.SOUND, "the rule is gone")
    assert _payments(engines, user_id) == 1
    assert (await admin.check_integrity(CheckIntegrityRequest())).outcome == IntegrityRun.SOUND
    kinds = [IntegrityRun.CHECK, IntegrityRun.PLAN, IntegrityRun.REPAIR]
    assert [run.kind for run in runs.runs()] == kinds
    assert IntegrityRuns(tmp_path).runs() == runs.runs()


@pytest.mark.usefixtures("settings")
async def test_it_runs_when_it_is_needed_and_ends_when_it_is_not(tmp_path: Path) -> None:
    """One process for calls that come at once, on its owner's socket; idle, it ends, and is started for the next."""
    process = AdminProcess(tmp_path, ("--idle-s", "3"))
    try:
        first, second = await asyncio.gather(process.channel(), process.channel())
        assert first is second
        assert stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode) == 0o600
        ended = process.pid
        await asyncio.to_thread(eventually, lambda: process.pid is None, 20)
        await process.channel()
        assert process.pid not in {None, ended}
    finally:
        await process.close()


@pytest.mark.usefixtures("settings")
async def test_a_start_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is mended, the next call starts it."""
    process = AdminProcess(tmp_path)
    with monkeypatch.context() as broken:
        broken.setenv("POSTGRES_PORT", "none")
        with pytest.raises(PolystreamError) as failed:
            await process.channel()
        assert failed.value.reason is Reason.ADMIN_UNAVAILABLE
        assert "it has ended with 2" in failed.value.metadata["error"]
    await process.channel()
    await process.close()


@pytest.mark.usefixtures("settings")
def test_it_dies_with_the_monitor(tmp_path: Path) -> None:
    """Even if that is killed."""
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom monitor.admin import AdminProcess\n"
        "async def run():\n    process = AdminProcess(Path(sys.argv[1]))\n    await process.channel()\n"
        "    print(process.pid, flush=True)\n    await asyncio.sleep(600)\nasyncio.run(run())\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter.stdout:
        pid = next(int(line) for line in starter.stdout if line.strip().isdigit())
        assert psutil.pid_exists(pid)
        starter.kill()
        starter.wait(10)
        eventually(lambda: not psutil.pid_exists(pid), 20)
