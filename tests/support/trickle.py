"""A steady trickle of commands of every store, by several users, and what has to be there of it afterwards."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psycopg
import pymongo

from tests.support.people import person
from tests.support.waiting import eventually

_KNOWN_CONTENT: Final = 1001  # what everybody sees first
_SERIAL: Final = itertools.count(10_000)  # of every command: an amount, and a content, that no other has
_CONTENT_BASE: Final = 40_000_000
_PAUSE_S: Final = 0.3
_RETRY_PAUSE_S: Final = 0.5
_CALL_TIMEOUT_S: Final = 15.0  # longer than a gateway waits for Kafka
_USER_TIMEOUT_S: Final = 120.0
_RETRIABLE: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that was acknowledged."""

    serial: int
    store: str
    user_id: int
    correlation_id: str


class Trickle:
    """Sends, user by user, one command after the other: each is sent again under its request ID until it is answered.

    So what it has of a user is in the order in which it was acknowledged.
    """

    def __init__(self, url: str, user_ids: list[int]) -> None:
        self.url = url
        self.user_ids = user_ids
        self.acknowledged: list[Sent] = []
        self.refused: list[tuple[int, str]] = []  # status and body of what will not do
        self._first_serial = next(_SERIAL)
        self._done: dict[str, Any] = {}  # operations that will not change any more, by correlation ID
        self._stop = threading.Event()
        self._give_up = threading.Event()

    @contextmanager
    def running(self, settle_timeout_s: float) -> Iterator[None]:
        """Send while the block runs. In the end, each command that is under way is sent until it is answered.

        Raises AssertionError where that takes longer than `settle_timeout_s`.
        """
        threads = [threading.Thread(target=self._send, args=(user_id,)) for user_id in self.user_ids]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(settle_timeout_s)
            hanging = [thread for thread in threads if thread.is_alive()]
            self._give_up.set()
            for thread in threads:
                thread.join(2 * _CALL_TIMEOUT_S)
        assert not hanging, f"{len(hanging)} commands are not acknowledged {settle_timeout_s:.0f} s after the fault"

    def operations(self) -> Mapping[str, Any]:
        """Return the operation of each acknowledged command, by its correlation ID. Raises httpx.HTTPError."""
        operations = {}
        with httpx.Client(base_url=self.url, timeout=_CALL_TIMEOUT_S) as client:
            for key in [sent.correlation_id for sent in list(self.acknowledged)]:
                if key not in self._done:
                    operations[key] = client.get(f"/v1/operations/{key}").raise_for_status().json()
        self._done |= {key: operation for key, operation in operations.items() if operation["state"] != "ACCEPTED"}
        return operations | self._done

    def faults(self, postgresql: str, mongodb: str) -> list[str]:
        """Return what is wrong with the outcome, once every operation is done: lost, doubled, out of order."""
        operations = self.operations()
        faults = [f"still open: {key}" for key, op in operations.items() if op["state"] == "ACCEPTED"]
        for key, operation in operations.items():
            if operation["state"] == "FAILED" and not operation["error"].get("message"):
                faults.append(f"failed without a reason: {key}")
        failed = {key: op["error"]["message"] for key, op in operations.items() if op["state"] == "FAILED"}
        faults += [f"refused: {key}: {message}" for key, message in failed.items()]
        for user_id in self.user_ids:
            mine = [s for s in self.acknowledged if s.user_id == user_id and s.correlation_id not in failed]
            by_store = {store: [s.serial for s in mine if s.store == store] for store in ("postgresql", "mongodb")}
            found = {
                "postgresql": self._paid(postgresql, user_id),
                "mongodb": sorted(self._viewed(mongodb, user_id)),
            }
            for store, wanted in by_store.items():
                if found[store] != wanted:
                    faults.append(f"{store}, user {user_id}: acknowledged {wanted}, found {found[store]}")
            faults += self._wrong_content(user_id, [s.serial for s in mine if s.store == "redis"])
        return faults

    def _paid(self, dsn: str, user_id: int) -> list[int]:
        """Return the payments in the order of their rows."""
        with psycopg.connect(dsn, connect_timeout=5) as db:
            rows = db.execute(
                "SELECT valor FROM pagamentos WHERE user_id = %s AND valor >= %s ORDER BY id",
                (user_id, self._first_serial),
            )
            return [int(row[0]) for row in rows.fetchall()]

    def _viewed(self, url: str, user_id: int) -> list[int]:
        with pymongo.MongoClient[dict[str, Any]](url, directConnection=True, serverSelectionTimeoutMS=5000) as client:
            views = client.get_default_database()["historico_visualizacao"]
            wanted = {"user_id": user_id, "conteudo_id": {"$gte": self._first_serial}}
            return [document["conteudo_id"] for document in views.find(wanted, {"conteudo_id": 1})]

    def _wrong_content(self, user_id: int, serials: list[int]) -> list[str]:
        if not serials:
            return []
        content_id = _CONTENT_BASE + self.user_ids.index(user_id)
        title = httpx.get(f"{self.url}/v1/contents/{content_id}", timeout=_CALL_TIMEOUT_S).json().get("title")
        return [] if title == f"t{serials[-1]}" else [f"redis: content {content_id} is {title}, not t{serials[-1]}"]

    def _send(self, user_id: int) -> None:
        content_id = _CONTENT_BASE + self.user_ids.index(user_id)
        with httpx.Client(base_url=self.url, timeout=_CALL_TIMEOUT_S) as client:
            while True:
                for store in ("postgresql", "mongodb", "redis"):
                    if self._stop.wait(_PAUSE_S):
                        return
                    self._one(client, store, user_id, content_id)

    def _one(self, client: httpx.Client, store: str, user_id: int, content_id: int) -> None:
        serial = next(_SERIAL)
        requests: dict[str, tuple[str, dict[str, Any]]] = {
            "postgresql": (
                f"/v1/users/{user_id}/payments",
                {"amount": {"currency_code": "BRL", "units": serial}, "method": "PIX"},
            ),
            "mongodb": (f"/v1/users/{user_id}/views", {"content_id": serial, "title": "t", "kind": "MOVIE"}),
            "redis": (f"/v1/contents/{content_id}", {"title": f"t{serial}", "kind": "MOVIE"}),
        }
        path, body = requests[store]
        request = body | {"request_id": f"trickle-{user_id}-{serial}"}
        while not self._give_up.is_set():
            try:
                answer = client.post(path, json=request)
            except httpx.TransportError:
                self._give_up.wait(_RETRY_PAUSE_S)
                continue
            if answer.is_success:
                self.acknowledged.append(Sent(serial, store, user_id, answer.json()["correlation_id"]))
                return
            if answer.status_code not in _RETRIABLE:
                self.refused.append((answer.status_code, answer.text))
                return
            self._give_up.wait(_RETRY_PAUSE_S)


def make_users(url: str, count: int) -> list[int]:
    """Create users, and return their IDs once every lane knows them, and the schema of each command of the trickle."""
    with httpx.Client(base_url=url, timeout=_CALL_TIMEOUT_S) as client:

        def done(path: str, body: dict[str, Any]) -> dict[str, Any]:
            key = client.post(path, json=body).raise_for_status().json()["correlation_id"]

            def finished() -> dict[str, Any] | None:
                operation: dict[str, Any] = client.get(f"/v1/operations/{key}").json()
                return operation if operation["state"] == "SUCCEEDED" else None

            return eventually(finished, _USER_TIMEOUT_S)

        user_ids = [int(done("/v1/users", person())["result"]["user_id"]) for _ in range(count)]
        for user_id in user_ids:
            done(f"/v1/users/{user_id}/views", {"content_id": _KNOWN_CONTENT, "title": "t", "kind": "MOVIE"})
            done(f"/v1/contents/{_KNOWN_CONTENT}", {"title": "t", "kind": "MOVIE"})
            amount = {"currency_code": "BRL", "units": 1}
            done(f"/v1/users/{user_id}/payments", {"amount": amount, "method": "PIX"})
    return user_ids
