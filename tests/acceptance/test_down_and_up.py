"""What was promised before a stop is kept after the next start: dead letters, and commands that were under way."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pymongo
import pytest

from tests.acceptance.conftest import Json
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

_TIMEOUT_S = 60.0
_DEAD = 2
_HELD = 40  # views, so that every partition has some


@pytest.mark.timeout(300)
def test_dead_letters_and_commands_under_way_are_kept(tmp_path: Path) -> None:
    """The stop tells of what is not applied yet, the next start applies it, and its operations end; each once."""
    with Platform(tmp_path, engine_set="embedded") as platform:
        with _client(platform) as rest:
            nothing = platform.command("integrity", "check")
            assert (nothing.returncode, nothing.stdout.startswith("nothing to compare with: ")) == (1, True)
            user_id = _finished(rest, _post(rest, "/v1/users", person()))["user_id"]
            with _refused_payments(platform):
                dead = [
                    _post(
                        rest,
                        f"/v1/users/{user_id}/payments",
                        {"amount": {"currency_code": "BRL", "units": 66}, "method": "PIX"},
                    )
                    for _ in range(_DEAD)
                ]
                eventually(lambda: _listed(platform) == {dead[0]: dead[1:]}, _TIMEOUT_S)
            os.kill(platform.pid("lane-mongodb-0"), signal.SIGSTOP)
            held = [
                _post(rest, "/historico-visualizacao", params={"user_id": user_id, "conteudo_id": 5678})
                for _ in range(_HELD)
            ]
            eventually(lambda: set(held) <= _open(rest), _TIMEOUT_S)
        stopped = platform.command("down")
        assert stopped.returncode == 0, stopped.stderr
        assert (
            f"{_HELD + _DEAD - 1} commands are accepted and not applied yet: the broker keeps what it has"
            in stopped.stdout
        )

        platform.stop()
        platform.start()

        assert _listed(platform) == {dead[0]: dead[1:]}
        with _client(platform) as rest:
            for correlation_id in held:
                assert _finished(rest, correlation_id)["state"] == "SUCCEEDED"
            assert _views(platform, str(user_id)) == _HELD
            redriven = platform.command("dlq", "redrive", "--all", "--json")
            assert redriven.returncode == 0, redriven.stderr
            assert [one["correlation_id"] for one in json.loads(redriven.stdout)["redriven"]] == dead[:1]
            eventually(lambda: {_operation(rest, one)["state"] for one in dead} == {"SUCCEEDED"}, _TIMEOUT_S)
        checked = platform.command("integrity", "check", "--json")
        report = json.loads(checked.stdout)
        assert (checked.returncode, report["lost"], report["orphans"]) == (0, [], []), checked.stderr
        assert report["compared"] >= _HELD


def _views(platform: Platform, user_id: str) -> int:
    with pymongo.MongoClient[Json](platform.endpoints["mongodb"]) as client:
        history = client.get_default_database()["historico_visualizacao"]
        return history.count_documents({"user_id": int(user_id)})


def _client(platform: Platform) -> httpx.Client:
    return httpx.Client(base_url=platform.door("gateway"), timeout=20)


def _post(rest: httpx.Client, path: str, body: Json | None = None, params: Json | None = None) -> str:
    answer = rest.post(path, json=body, params=params).raise_for_status()
    return str(answer.json()["correlation_id"])


def _operation(rest: httpx.Client, correlation_id: str) -> Json:
    found: Json = rest.get(f"/status/{correlation_id}").raise_for_status().json()
    return found


def _finished(rest: httpx.Client, correlation_id: str) -> Json:
    eventually(lambda: _operation(rest, correlation_id)["state"] != "ACCEPTED", _TIMEOUT_S)
    return _operation(rest, correlation_id)


def _open(rest: httpx.Client) -> set[str]:
    """Return the operations that the event log has as open."""
    listed = rest.get("/v1/operations", params={"state": "ACCEPTED", "page_size": 1000}).raise_for_status().json()
    return {operation["correlation_id"] for operation in listed.get("operations", [])}


def _listed(platform: Platform) -> dict[str, list[str]]:
    """Return the dead letters, by their correlation IDs, with those of the commands that wait behind each."""
    listed = platform.command("dlq", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return {one["correlation_id"]: one["waiting"] for one in json.loads(listed.stdout)["letters"]}


@contextmanager
def _refused_payments(platform: Platform) -> Iterator[None]:
    """Have PostgreSQL refuse a payment of 66, which no handler expects."""
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute("ALTER TABLE pagamentos ADD CONSTRAINT broken CHECK (valor <> 66) NOT VALID")
        try:
            yield
        finally:
            db.execute("ALTER TABLE pagamentos DROP CONSTRAINT broken")
