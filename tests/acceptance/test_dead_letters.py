"""What is given up holds up its key alone; redriven, all of it is applied, once and in order."""

import getpass
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx
import psycopg
import pytest
from polystream.v1.events_pb2 import CommandReceipt
from psycopg import sql
from pymongo import MongoClient

from tests.acceptance.conftest import Finished, Json
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

PAYMENTS = 30
REDRIVERS = 2
TIMEOUT_S = 60.0
BROKEN = {"currency_code": "BRL", "units": 66, "nanos": 600_000_000}


@contextmanager
def _refusing(platform: Platform, table: str, condition: str) -> Iterator[None]:
    """Have PostgreSQL refuse the rows that don't meet a condition, which no handler expects."""
    constraint = sql.SQL("ALTER TABLE {} ADD CONSTRAINT broken CHECK ({}) NOT VALID")
    mended = sql.SQL("ALTER TABLE {} DROP CONSTRAINT broken").format(sql.Identifier(table))
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute(constraint.format(sql.Identifier(table), sql.SQL(condition)))
        try:
            yield
        finally:
            db.execute(mended)


def _dead_letters(platform: Platform, correlation_ids: Sequence[str]) -> list[Json]:
    listed = platform.command("dlq", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    dead_letters: list[Json] = json.loads(listed.stdout)["letters"]
    return [one for one in dead_letters if one["correlation_id"] in correlation_ids]


def _settle(platform: Platform, action: str, *arguments: str) -> tuple[int, Json]:
    done = platform.command("dlq", action, "--json", *arguments)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)


def _behind(rest: httpx.Client, command: str) -> str:
    """Return what a command waits behind, as its operation says."""
    operation = rest.get(f"/v1/operations/{command}").raise_for_status().json()
    assert operation["state"] == "ACCEPTED"
    return next((receipt.get("waits_behind", "") for receipt in operation.get("receipts", [])), "")


def _receipts(rest: httpx.Client, command: str) -> dict[str, str]:
    operation = rest.get(f"/v1/operations/{command}").raise_for_status().json()
    return {receipt["store"]: receipt["state"] for receipt in operation.get("receipts", [])}


def _name(platform: Platform, user_id: str) -> str:
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        row: Any = db.execute("SELECT nome FROM usuarios WHERE user_id = %s", (user_id,)).fetchone()
    return str(row[0])


def _payments(platform: Platform, user_id: str) -> int:
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        row: Any = db.execute("SELECT count(*) FROM pagamentos WHERE user_id = %s", (user_id,)).fetchone()
    return int(row[0])


@pytest.fixture
def user_id(rest: httpx.Client, finished: Finished) -> str:
    """Return the ID of a user that nobody else uses."""
    operation = finished(rest.post("/v1/users", json=person()).raise_for_status().json()["correlation_id"])
    return str(operation["user_id"])


@pytest.mark.timeout(300)
@pytest.mark.every_engine_set
def test_each_is_applied_once_though_two_send_them_and_the_lane_is_killed(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """One is tried first; once the cause is mended, all are applied, none twice, and their stories tell of it."""
    with _refusing(platform, "pagamentos", "valor <> 66.60"):
        answers = [
            rest.post(f"/v1/users/{user_id}/payments", json={"amount": BROKEN, "method": "PIX"})
            for _ in range(PAYMENTS)
        ]
        commands = [answer.raise_for_status().json()["correlation_id"] for answer in answers]
        first, *waiting = commands
        assert finished(first)["state"] == "FAILED"
        (dead_letter,) = eventually(lambda: _dead_letters(platform, commands), TIMEOUT_S)
        eventually(lambda: _dead_letters(platform, commands)[0]["waiting"] == waiting, TIMEOUT_S)
        assert (dead_letter["correlation_id"], dead_letter["standing"]) == (first, "parked")
        assert {_behind(rest, command) for command in waiting} == {first}
        returncode, planned = _settle(platform, "redrive", "--all", "--user", user_id, "--dry-run")
        (plan,) = planned["would_send"]
        assert (returncode, plan["store"], plan["waiting"]) == (0, "POSTGRESQL", waiting)
        returncode, tried = _settle(platform, "redrive", "--all", "--user", user_id)
        assert (returncode, [sent["outcome"] for sent in tried["redriven"]]) == (1, ["dead-lettered"])
    before = platform.pid("lane-postgresql-0")
    argv = platform.argv("dlq", "redrive", "--all", "--user", user_id, "--json", "--why", "the check is gone")
    redrivers = [subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=platform.checkout) for _ in range(REDRIVERS)]
    eventually(lambda: _payments(platform, user_id) > 0, TIMEOUT_S, interval_s=0.01)
    platform.kill("lane-postgresql-0")
    live = rest.post(f"/v1/users/{user_id}/payments", json={"amount": BROKEN, "method": "PIX"}).json()["correlation_id"]
    told = [json.loads(redriver.communicate(timeout=TIMEOUT_S)[0]) for redriver in redrivers]
    assert {sent["outcome"] for document in told for sent in document["redriven"]} <= {"succeeded"}
    assert platform.pid("lane-postgresql-0") != before
    assert {finished(command)["state"] for command in [*commands, live]} == {"SUCCEEDED"}
    assert _payments(platform, user_id) == PAYMENTS + 1
    assert {one["standing"] for one in _dead_letters(platform, commands)} == {"settled"}
    _assert_told(rest, first)
    assert _settle(platform, "redrive", "--all", "--user", user_id)[1]["redriven"] == []


def _assert_told(rest: httpx.Client, command: str) -> None:
    """Check that a command's story has what happened, in order, and that the event log's operation has succeeded."""

    def story() -> Json:
        told: Json = rest.get(f"/v1/operations/{command}:explain").raise_for_status().json()
        return told

    eventually(lambda: story()["operation"]["state"] == "SUCCEEDED", TIMEOUT_S)
    hops = [hop["event_type"] for hop in story()["hops"]]
    expected = ["command.accepted", "command.dead_lettered", "command.redriven", "command.succeeded"]
    assert sorted(set(expected), key=hops.index) == expected
    redriven = [hop for hop in story()["hops"] if hop["event_type"] == "command.redriven"]
    assert {hop.get("principal") for hop in redriven} == {getpass.getuser()}
    assert redriven[-1]["justification"] == "the check is gone"


@pytest.mark.every_engine_set
def test_a_newer_command_is_never_undone(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """It waits for the older one, whatever comes in meanwhile, and comes after it; other users go on."""

    def rename(name: str, user: str = user_id) -> str:
        answer = rest.patch(f"/v1/users/{user}", json={"name": name})
        return str(answer.raise_for_status().json()["correlation_id"])

    other = str(finished(rest.post("/v1/users", json=person()).json()["correlation_id"])["user_id"])
    with _refusing(platform, "usuarios", "nome <> 'Quebrado'"):
        broken = rename("Quebrado")
        assert finished(broken)["state"] == "FAILED"
        later = [rename(name) for name in ("Um", "Dois", "Depois")]
        assert finished(rename("Outra", other))["state"] == "SUCCEEDED"
        eventually(lambda: _behind(rest, later[-1]) == broken, TIMEOUT_S)
        assert _name(platform, user_id) not in {"Quebrado", "Um", "Dois", "Depois"}
    redriver = subprocess.Popen(platform.argv("dlq", "redrive", broken, "--json"), stdout=subprocess.PIPE)
    live = [rename(f"Ao vivo {n}") for n in range(20)]
    assert [sent["outcome"] for sent in json.loads(redriver.communicate(timeout=TIMEOUT_S)[0])["redriven"]] == [
        "succeeded"
    ]
    assert {finished(command)["state"] for command in [broken, *later, *live]} == {"SUCCEEDED"}
    assert _name(platform, user_id) == "Ao vivo 19"


@pytest.mark.every_engine_set
def test_a_basic_plan_that_comes_late_does_not_end_a_premium_one(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """The one that was chosen last is in force."""

    def subscribe(plan: str) -> str:
        answer = rest.post(f"/v1/users/{user_id}/subscriptions", json={"plan": plan})
        return str(answer.raise_for_status().json()["correlation_id"])

    with _refusing(platform, "assinaturas", f"user_id <> {user_id} OR plano <> 'básico'"):
        basic = subscribe("BASIC")
        assert finished(basic)["state"] == "FAILED"
        premium = subscribe("PREMIUM")
    assert _settle(platform, "redrive", "--all", "--user", user_id)[0] == 0
    assert {finished(command)["state"] for command in (basic, premium)} == {"SUCCEEDED"}
    listed = rest.get(f"/v1/users/{user_id}/subscriptions").json()["subscriptions"]
    assert [one["plan"] for one in listed if one["state"] == "ACTIVE"] == ["PREMIUM"]


@pytest.mark.every_engine_set
def test_an_erasure_that_one_store_gave_up_ends_in_all_of_them(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """Until then nothing more of the person is written anywhere, and afterwards there is nothing left."""
    view = {"user_id": user_id, "content_id": "7", "title": "Antes", "kind": "MOVIE"}
    assert finished(rest.post("/v1/views", json=view).raise_for_status().json()["correlation_id"])
    held_up = {"POSTGRESQL": "FAILED", "MONGODB": "SUCCEEDED", "REDIS": "SUCCEEDED"}
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute("CREATE TABLE holds (user_id bigint REFERENCES usuarios (user_id))")
        db.execute("INSERT INTO holds VALUES (%s)", (user_id,))
        try:
            erasure = rest.delete(f"/v1/users/{user_id}").raise_for_status().json()["correlation_id"]
            eventually(lambda: _receipts(rest, erasure) == held_up, TIMEOUT_S)
            late = rest.post("/v1/views", json=view).raise_for_status().json()["correlation_id"]
        finally:
            db.execute("DROP TABLE holds")
    assert _settle(platform, "redrive", erasure)[0] == 0
    assert finished(erasure)["state"] == "SUCCEEDED"
    assert finished(late)["error"]["details"][0]["reason"] in {"USER_NOT_FOUND", "USER_UNVERIFIED"}
    assert rest.get(f"/v1/users/{user_id}").status_code == HTTPStatus.NOT_FOUND
    with MongoClient[Json](platform.endpoints["mongodb"]) as client:
        views = client.get_default_database()["historico_visualizacao"]
        assert views.count_documents({"user_id": int(user_id)}) == 0
    again = rest.post("/v1/views", json=view).raise_for_status().json()["correlation_id"]
    assert finished(again)["error"]["details"][0]["reason"] == "USER_NOT_FOUND"


def test_a_discard_gives_it_up_for_good_and_the_others_go_on(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """With who did it and why in its story; a redrive afterwards applies nothing."""
    with _refusing(platform, "usuarios", "nome <> 'Descartado'"):
        broken = rest.patch(f"/v1/users/{user_id}", json={"name": "Descartado"}).json()["correlation_id"]
        assert finished(broken)["state"] == "FAILED"
    later = rest.patch(f"/v1/users/{user_id}", json={"name": "Fica"}).json()["correlation_id"]
    eventually(lambda: _behind(rest, later) == broken, TIMEOUT_S)
    returncode, told = _settle(platform, "discard", broken, "--who", "ana", "--why", "asked for twice")
    assert (returncode, [one["outcome"] for one in told["discarded"]]) == (0, ["discarded"])
    assert finished(later)["state"] == "SUCCEEDED"
    returncode, told = _settle(platform, "redrive", broken)
    assert (returncode, told["redriven"], [one["standing"] for one in told["kept"]]) == (1, [], ["settled"])
    assert (finished(broken)["state"], _name(platform, user_id)) == ("FAILED", "Fica")

    def discards() -> list[Json]:
        hops = rest.get(f"/v1/operations/{broken}:explain").raise_for_status().json()["hops"]
        return [hop for hop in hops if hop["event_type"] == "command.discarded"]

    (hop,) = eventually(discards, TIMEOUT_S)
    assert (hop["principal"], hop["justification"]) == ("ana", "asked for twice")


def test_a_redrive_is_answered_though_the_clock_of_the_lane_was_set_back(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """The answer that is waited for is told from the first one by what it is, and not by which time is later."""
    with _refusing(platform, "usuarios", "nome <> 'Adiantado'"):
        broken = rest.patch(f"/v1/users/{user_id}", json={"name": "Adiantado"}).json()["correlation_id"]
        assert finished(broken)["state"] == "FAILED"
    (told,) = _dead_letters(platform, [broken])
    assert (told["standing"], "exception: CheckViolation" in told["error"]) == ("parked", True)
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        row: Any = db.execute("SELECT receipt FROM parked_records WHERE correlation_id = %s", (broken,)).fetchone()
        receipt = CommandReceipt.FromString(row[0])
        for time in (receipt.receive_time, receipt.complete_time):
            time.seconds += 3600
        given_up = receipt.SerializeToString()
        db.execute("UPDATE parked_records SET receipt = %s WHERE correlation_id = %s", (given_up, broken))
    returncode, done = _settle(platform, "redrive", broken)
    assert (returncode, [one["outcome"] for one in done["redriven"]]) == (0, ["succeeded"])
    assert (finished(broken)["state"], _name(platform, user_id)) == ("SUCCEEDED", "Adiantado")


def test_a_dead_letter_is_shown_and_its_fields_only_if_they_are_asked_for(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """They may hold personal data."""
    with _refusing(platform, "usuarios", "nome <> 'Segredo'"):
        command = rest.patch(f"/v1/users/{user_id}", json={"name": "Segredo"}).json()["correlation_id"]
        assert finished(command)["error"]["details"][0]["reason"] == "HANDLER_FAILED"
    (dead_letter,) = eventually(lambda: _dead_letters(platform, [command]), TIMEOUT_S)
    for arguments in ((), ("--json",)):
        shown = platform.command("dlq", "show", dead_letter["letter"], *arguments).stdout
        assert command in shown
        assert "Segredo" not in shown
    payload = json.loads(platform.command("dlq", "show", dead_letter["letter"], "--payload", "--json").stdout)[
        "payload"
    ]
    assert (payload["name"], str(payload["user_id"])) == ("Segredo", user_id)
    unknown = platform.command("dlq", "show", "5:99999999")
    assert (unknown.returncode, "dlq list" in unknown.stderr) == (2, True)
