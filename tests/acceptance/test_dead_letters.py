"""Dead letters are sent again safely: each applied once, in order, and no further than it goes well."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

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


def _redrive(platform: Platform, *arguments: str) -> tuple[int, Json]:
    done = platform.command("dlq", "redrive", "--json", *arguments)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)


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
        assert {finished(command)["state"] for command in commands} == {"FAILED"}
        eventually(lambda: len(_dead_letters(platform, commands)) == PAYMENTS, TIMEOUT_S)
        returncode, tried = _redrive(platform, "--all", "--command", "CreatePayment")
        assert (returncode, [sent["outcome"] for sent in tried["redriven"]]) == (1, ["dead-lettered"])
        assert len(tried["unsent"]) == PAYMENTS - 1
    before = platform.pid("lane-postgresql-0")
    argv = platform.argv("dlq", "redrive", "--all", "--command", "CreatePayment", "--json")
    redrivers = [subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=platform.checkout) for _ in range(REDRIVERS)]
    eventually(lambda: _payments(platform, user_id) > 0, TIMEOUT_S, interval_s=0.01)
    platform.kill("lane-postgresql-0")
    told = [json.loads(redriver.communicate(timeout=TIMEOUT_S)[0]) for redriver in redrivers]
    assert {sent["outcome"] for document in told for sent in document["redriven"]} == {"succeeded"}
    assert {sent["correlation_id"] for document in told for sent in document["redriven"]} == set(commands)
    assert platform.pid("lane-postgresql-0") != before
    assert _payments(platform, user_id) == PAYMENTS
    assert {finished(command)["state"] for command in commands} == {"SUCCEEDED"}
    assert {one["standing"] for one in _dead_letters(platform, commands)} == {"redriven"}
    _assert_told(rest, commands[-1])
    assert _redrive(platform, "--all", "--command", "CreatePayment") == (0, {"redriven": [], "unsent": [], "kept": []})


def _assert_told(rest: httpx.Client, command: str) -> None:
    """Check that a command's story has what happened, in order, and that the event log's operation has succeeded."""

    def story() -> Json:
        told: Json = rest.get(f"/v1/operations/{command}:explain").raise_for_status().json()
        return told

    eventually(lambda: story()["operation"]["state"] == "SUCCEEDED", TIMEOUT_S)
    hops = [hop["event_type"] for hop in story()["hops"]]
    expected = ["command.accepted", "command.dead_lettered", "command.redriven", "command.succeeded"]
    assert sorted(set(expected), key=hops.index) == expected


def test_what_later_commands_have_overtaken_is_sent_only_if_somebody_insists(
    platform: Platform, rest: httpx.Client, finished: Finished, user_id: str
) -> None:
    """It would undo them."""

    def rename(name: str) -> str:
        answer = rest.patch(f"/v1/users/{user_id}", json={"name": name})
        return str(answer.raise_for_status().json()["correlation_id"])

    with _refusing(platform, "usuarios", "nome <> 'Quebrado'"):
        command = rename("Quebrado")
        assert finished(command)["state"] == "FAILED"
    later = rename("Depois")
    assert finished(later)["state"] == "SUCCEEDED"
    (dead_letter,) = eventually(lambda: _dead_letters(platform, [command]), TIMEOUT_S)
    returncode, told = _redrive(platform, dead_letter["letter"])
    assert (returncode, told["redriven"]) == (1, [])
    (kept,) = told["kept"]
    assert (kept["standing"], kept["overtaken_by"]) == ("overtaken", [later])
    assert _name(platform, user_id) == "Depois"
    returncode, told = _redrive(platform, dead_letter["letter"], "--force")
    assert (returncode, [sent["outcome"] for sent in told["redriven"]]) == (0, ["succeeded"])
    assert _name(platform, user_id) == "Quebrado"
    returncode, told = _redrive(platform, dead_letter["letter"], "--force")
    assert (returncode, [kept["standing"] for kept in told["kept"]]) == (1, ["redriven"])


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
