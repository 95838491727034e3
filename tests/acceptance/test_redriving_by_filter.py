"""What `dlq` is told to choose, and when it stops: by reason, command, user and time, and with `--keep-going`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import psycopg
import pytest

from tests.acceptance.conftest import Finished, Json
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

_TIMEOUT_S = 60.0
_NAME = "Recusada por enquanto"


@pytest.fixture
def refused(platform: Platform) -> Iterator[psycopg.Connection]:
    """Have PostgreSQL refuse a name, which no handler expects, until the test says that it is mended."""
    mended = "ALTER TABLE usuarios DROP CONSTRAINT IF EXISTS refused"
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute(f"ALTER TABLE usuarios ADD CONSTRAINT refused CHECK (nome <> '{_NAME}') NOT VALID")
        try:
            yield db
        finally:
            db.execute(mended)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _listed(platform: Platform, *filters: str) -> set[str]:
    done = platform.command("dlq", "list", "--json", *filters)
    assert done.returncode == 0, done.stderr
    return {one["correlation_id"] for one in json.loads(done.stdout)["letters"]}


def _redrive(platform: Platform, *arguments: str) -> tuple[int, list[str]]:
    done = platform.command("dlq", "redrive", "--all", "--json", "--wait-s", "30", *arguments)
    assert done.returncode in {0, 1}, done.stderr
    redriven: list[Json] = json.loads(done.stdout)["redriven"]
    return done.returncode, [one["outcome"] for one in redriven]


@pytest.mark.timeout(300)
def test_filters_choose_and_a_redrive_stops_unless_it_is_to_keep_going(
    platform: Platform, rest: httpx.Client, finished: Finished, refused: psycopg.Connection
) -> None:
    """One is tried first, and where it is given up again, the others are left, unless they are not to be."""
    made = [rest.post("/v1/users", json=person()).raise_for_status().json()["correlation_id"] for _ in range(2)]
    users = [finished(correlation_id)["user_id"] for correlation_id in made]
    since = _now()
    commands = {rest.patch(f"/v1/users/{user}", json={"name": _NAME}).json()["correlation_id"] for user in users}
    assert {finished(command)["state"] for command in commands} == {"FAILED"}
    chosen = ("--reason", "HANDLER_FAILED", "--command", "UpdateUser", "--since", since)
    eventually(lambda: _listed(platform, *chosen) == commands, _TIMEOUT_S)
    assert _listed(platform, *chosen, "--until", _now()) == commands
    for others in (("--reason", "UNDECODABLE"), ("--command", "CreateUser"), ("--until", since)):
        assert _listed(platform, *others).isdisjoint(commands), others
    assert len(_listed(platform, *chosen, "--user", users[0])) == 1
    assert _redrive(platform, *chosen) == (1, ["dead-lettered"])
    assert _redrive(platform, *chosen, "--keep-going") == (1, ["dead-lettered", "dead-lettered"])
    refused.execute("ALTER TABLE usuarios DROP CONSTRAINT refused")
    assert _redrive(platform, *chosen) == (0, ["succeeded", "succeeded"])
    assert {finished(command)["state"] for command in commands} == {"SUCCEEDED"}
