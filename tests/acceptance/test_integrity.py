"""Drift between the stores is found, and repaired: what one has lost is applied again, what is left over can go."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pymongo
import pytest
import redis
from pymongo.database import Database

from tests.acceptance.conftest import Finished, Json
from tests.support.people import person
from tests.support.platform import Platform

EACH = 3  # payments, and views
PAYMENT = {"amount": {"currency_code": "BRL", "units": 10}, "method": "PIX"}
VIEW = {"content_id": 5678, "title": "t", "kind": "MOVIE"}

_ROWS = """
SELECT (SELECT count(*) FROM pagamentos WHERE user_id = %(id)s),
       (SELECT count(*) FROM assinaturas WHERE user_id = %(id)s),
       (SELECT count(*) FROM inbox WHERE correlation_id = ANY(%(sent)s::uuid[]))
"""

# As the platform has written it then.
_NAMED_BEFORE = """
UPDATE usuarios SET nome = 'Antes', hash_conteudo = hash_usuario(user_id, 'Antes', email, cpf, data_criacao)
 WHERE user_id = %s
"""

pytestmark = pytest.mark.timeout(300)


class _Person:
    """A user with something in every store, and all commands that made it so."""

    def __init__(self, rest: httpx.Client, finished: Finished) -> None:
        self._rest, self._finished = rest, finished
        self.creation = _sent(rest.post("/v1/users", json=person()))
        self.id = int(finished(self.creation)["user_id"])
        self.commands: dict[str, list[str]] = {"POSTGRESQL": [], "MONGODB": [], "REDIS": []}

    def live(self) -> None:
        """Pay, watch, open a session, and take one name after the other."""
        path = f"/v1/users/{self.id}"
        for number in range(EACH):
            self.commands["POSTGRESQL"].append(_sent(self._rest.post(f"{path}/payments", json=PAYMENT)))
            self.commands["POSTGRESQL"].append(_sent(self._rest.patch(path, json={"name": f"Nome {number}"})))
            self.commands["MONGODB"].append(_sent(self._rest.post(f"{path}/views", json=VIEW)))
        session = {"user_id": str(self.id), "device": "TV"}
        self.commands["REDIS"].append(_sent(self._rest.post("/v1/sessions", json=session)))
        for commands in self.commands.values():
            assert {self._finished(command)["state"] for command in commands} == {"SUCCEEDED"}


def _sent(answer: httpx.Response) -> str:
    return str(answer.raise_for_status().json()["correlation_id"])


def _integrity(platform: Platform, *arguments: str) -> tuple[int, Json]:
    done = platform.command("integrity", *arguments, "--json")
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)


def _lost(report: Json) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in report["lost"]:
        found.setdefault(part["store"], set()).add(part["correlation_id"])
    return found


def _left_over(report: Json) -> dict[str, list[str]]:
    return {orphans["store"]: orphans["user_ids"] for orphans in report["orphans"]}


@contextmanager
def _mongodb(platform: Platform) -> Iterator[Database[dict[str, Any]]]:
    with pymongo.MongoClient[dict[str, Any]](platform.endpoints["mongodb"]) as client:
        yield client.get_default_database()


def _wind_back_postgresql(platform: Platform, someone: _Person, commands: Sequence[str]) -> None:
    """Leave PostgreSQL as a backup from before these commands would: neither effects nor inbox."""
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        db.execute("DELETE FROM pagamentos WHERE user_id = %s", (someone.id,))
        db.execute(_NAMED_BEFORE, (someone.id,))
        db.execute("DELETE FROM inbox WHERE correlation_id = ANY(%s::uuid[])", (list(commands),))


def _wind_back_mongodb(platform: Platform, someone: _Person) -> None:
    with _mongodb(platform) as db:
        db["historico_visualizacao"].delete_many({"user_id": someone.id})
        db["comandos_aplicados"].delete_many({"_id": {"$in": someone.commands["MONGODB"]}})


def _wind_back_redis(platform: Platform, someone: _Person) -> None:
    with redis.Redis.from_url(platform.endpoints["redis"]) as client:
        (session,) = someone.commands["REDIS"]  # a session's ID is its command's
        client.delete(f"sessao:{session}", f"sessoes:{someone.id}", f"comando:{session}")


def _has(platform: Platform, someone: _Person) -> tuple[str, int, int, int]:
    """Return the person's name, and how many payments, views and sessions there are."""
    with psycopg.connect(platform.endpoints["postgresql"]) as connection:
        asked = "SELECT nome, (SELECT count(*) FROM pagamentos p WHERE p.user_id = u.user_id) FROM usuarios u"
        row = connection.execute(f"{asked} WHERE user_id = %s", (someone.id,)).fetchone()  # a constant
    name, payments = row or ("", 0)
    with _mongodb(platform) as db:
        views = db["historico_visualizacao"].count_documents({"user_id": someone.id})
    with redis.Redis.from_url(platform.endpoints["redis"]) as client:
        sessions: Any = client.zcard(f"sessoes:{someone.id}")
    return str(name), int(payments), views, int(sessions)


def test_what_restored_stores_lack_is_applied_again(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """Exactly that, in its order, and no other command twice."""
    someone = _Person(rest, finished)
    someone.live()
    lived = _has(platform, someone)
    assert lived == (f"Nome {EACH - 1}", EACH, EACH, 1)
    assert _integrity(platform, "check")[1]["lost"] == []
    _wind_back_postgresql(platform, someone, someone.commands["POSTGRESQL"])
    _wind_back_mongodb(platform, someone)
    _wind_back_redis(platform, someone)
    assert _has(platform, someone) == ("Antes", 0, 0, 0)
    returncode, report = _integrity(platform, "check")
    assert (returncode, report["sound"]) == (1, False)
    assert _lost(report) == {store: set(commands) for store, commands in someone.commands.items()}
    returncode, repaired = _integrity(platform, "repair")
    assert (returncode, {one["outcome"] for one in repaired["sent_again"]}) == (0, {"succeeded"})
    assert len(repaired["sent_again"]) == sum(map(len, someone.commands.values()))
    assert _has(platform, someone) == lived
    returncode, report = _integrity(platform, "check")
    assert (returncode, report["sound"], report["lost"], report["orphans"]) == (0, True, [], [])


def test_what_lost_its_mark_alone_is_not_applied_again(
    platform: Platform, rest: httpx.Client, finished: Finished
) -> None:
    """The payments and the subscription are there: the marks are put back, and a later delivery finds them."""
    someone = _Person(rest, finished)
    path = f"/v1/users/{someone.id}"
    plan = {"plan": "PREMIUM", "months": 1}
    sent = [_sent(rest.post(f"{path}/payments", json=PAYMENT)) for _ in range(EACH)]
    sent.append(_sent(rest.post(f"{path}/subscriptions", json=plan)))
    assert {finished(command)["state"] for command in sent} == {"SUCCEEDED"}

    def rows() -> tuple[int, int, int]:
        with psycopg.connect(platform.endpoints["postgresql"]) as db:
            found = db.execute(_ROWS, {"id": someone.id, "sent": sent}).fetchone()
        assert found is not None
        return found

    before = rows()
    assert before == (EACH, 1, EACH + 1)
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        db.execute("DELETE FROM inbox WHERE correlation_id = ANY(%s::uuid[])", (sent,))
    returncode, report = _integrity(platform, "check")
    assert (returncode, report["lost"], {one["correlation_id"] for one in report["unmarked"]}) == (1, [], set(sent))
    returncode, repaired = _integrity(platform, "repair", "--force")
    assert (returncode, repaired["sent_again"], repaired["marked"]) == (0, [], EACH + 1)
    assert rows() == before
    assert _integrity(platform, "check")[0] == 0


def test_what_would_undo_later_commands_is_sent_only_if_somebody_insists(
    platform: Platform, rest: httpx.Client, finished: Finished
) -> None:
    """A store that went on after it was restored has later ones."""
    someone = _Person(rest, finished)
    someone.live()
    *_, last = someone.commands["POSTGRESQL"]
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        lost = someone.commands["POSTGRESQL"][1]
        db.execute("DELETE FROM inbox WHERE correlation_id = %s", (lost,))
    returncode, repaired = _integrity(platform, "repair")
    assert (returncode, repaired["sent_again"]) == (1, [])
    (left,) = repaired["left"]
    assert (left["correlation_id"], left["standing"]) == (lost, "overtaken")
    assert last in left["overtaken_by"]
    assert _has(platform, someone)[0] == f"Nome {EACH - 1}"
    returncode, repaired = _integrity(platform, "repair", "--force")
    assert (returncode, [one["correlation_id"] for one in repaired["sent_again"]]) == (0, [lost])
    assert _has(platform, someone)[0] == "Nome 0"


def test_what_is_left_of_a_user_goes_only_if_somebody_says_so(
    platform: Platform, rest: httpx.Client, finished: Finished
) -> None:
    """A view and a session name a user who never was."""
    nobody = 987_654_321
    both = {"MONGODB": [str(nobody)], "REDIS": [str(nobody)]}
    with _mongodb(platform) as db:
        db["historico_visualizacao"].insert_one({"_id": "nobodys", "user_id": nobody, "titulo": "x"})
    with redis.Redis.from_url(platform.endpoints["redis"]) as client:
        client.hset("sessao:nobodys", "user_id", str(nobody))
        client.zadd(f"sessoes:{nobody}", {"nobodys": 1.0})
    returncode, report = _integrity(platform, "check")
    assert (returncode, report["lost"], _left_over(report)) == (1, [], both)
    returncode, repaired = _integrity(platform, "repair")
    assert (returncode, repaired["erased"], _left_over(repaired)) == (1, 0, both)
    returncode, repaired = _integrity(platform, "repair", "--erase-orphans")
    assert (returncode, repaired["erased"], repaired["orphans"]) == (0, 2, [])
    refused = finished(_sent(rest.post(f"/v1/users/{nobody}/views", json=VIEW)))
    assert refused["error"]["details"][0]["reason"] == "USER_NOT_FOUND"
    assert _integrity(platform, "check")[0] == 0


def test_a_row_that_somebody_deleted_comes_back(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """The marks are there: a dry run says what will be put back, and the user has everything again."""
    someone = _Person(rest, finished)
    someone.live()
    lived = _has(platform, someone)
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        db.execute("DELETE FROM usuarios WHERE user_id = %s", (someone.id,))
    returncode, report = _integrity(platform, "check")
    assert (returncode, report["lost"], report["orphans"]) == (1, [], [])
    assert {kind: told["count"] for kind, told in report["kinds"].items()} == {"ROW_GONE": 1 + EACH}
    returncode, planned = _integrity(platform, "repair", "--dry-run")
    assert (returncode, {one["done"] for one in planned["would"]}) == (1, {True})
    assert _has(platform, someone)[0] == ""
    returncode, repaired = _integrity(platform, "repair", "--erase-orphans")
    assert (returncode, repaired["sent_again"], repaired["erased"]) == (0, [], 0)
    assert _has(platform, someone) == lived
    assert _integrity(platform, "check")[0] == 0


def test_a_user_that_postgresql_has_lost_is_nobody_to_erase(
    platform: Platform, rest: httpx.Client, finished: Finished
) -> None:
    """The user comes back with everything that is the user's, although erasing was asked for."""
    someone = _Person(rest, finished)
    someone.live()
    lived = _has(platform, someone)
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        db.execute("DELETE FROM usuarios WHERE user_id = %s", (someone.id,))
        commands = [someone.creation, *someone.commands["POSTGRESQL"]]
        db.execute("DELETE FROM inbox WHERE correlation_id = ANY(%s::uuid[])", (commands,))
    returncode, repaired = _integrity(platform, "repair", "--erase-orphans")
    assert (returncode, repaired["erased"], repaired["left"]) == (0, 0, [])
    assert {one["correlation_id"] for one in repaired["sent_again"]} == set(commands)
    assert _has(platform, someone) == lived
