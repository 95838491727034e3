"""A platform with something on every page: commands of all kinds, a refusal, dead letters, a paused lane with a lag."""

import itertools
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx
import psycopg

from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

_TIMEOUT_S: Final = 30.0
_BROKEN: Final = {"currency_code": "BRL", "units": 66, "nanos": 600_000_000}
_COMMANDS: Final = (
    "/usuarios/1234/pagamento",
    "/historico-visualizacao?user_id=1234&conteudo_id=5678",
    "/cache/conteudo/1001",
    "/usuarios/1234/assinatura",
    "/usuarios/1234/config",
    "/recomendacoes/gerar",
)
_REFUSED: Final = "/historico-visualizacao?user_id=999999&conteudo_id=5678"
_ONE_IN_REFUSED: Final = 25  # commands
_SWING_S: Final = 40.0  # from one busy moment to the next
_LAG_RECORDS: Final = 12
PAUSED_LANE: Final = "lane-redis"


@contextmanager
def refusing_payments(platform: Platform) -> Iterator[None]:
    """Have PostgreSQL refuse payments of 66.60, which no handler expects: they become dead letters."""
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute("ALTER TABLE pagamentos ADD CONSTRAINT broken CHECK (valor <> 66.60) NOT VALID")
        try:
            yield
        finally:
            db.execute("ALTER TABLE pagamentos DROP CONSTRAINT broken")


@dataclass(frozen=True, slots=True)
class Parked:
    """A payment that was given up, and those of the same user that wait behind it, by their correlation IDs."""

    user_id: str
    broken: str
    waiting: tuple[str, ...]


def park_payments(platform: Platform, waiting_count: int = 1) -> Parked:
    """Have a payment of a new user given up, and send others behind it. Its cause is mended when this returns."""
    created = send(platform, "/v1/users", person())
    eventually(lambda: operation(platform, created["correlation_id"])["state"] == "SUCCEEDED", _TIMEOUT_S)
    path, payment = f"/v1/users/{created['user_id']}/payments", {"amount": _BROKEN, "method": "PIX"}
    with refusing_payments(platform):
        broken = send(platform, path, payment)["correlation_id"]
        eventually(lambda: operation(platform, broken)["state"] == "FAILED", _TIMEOUT_S)
        waiting = tuple(send(platform, path, payment)["correlation_id"] for _ in range(waiting_count))
        for each in waiting:
            eventually(partial(_waits_behind, platform, each, broken), _TIMEOUT_S)
    return Parked(created["user_id"], broken, waiting)


@contextmanager
def commands_flowing(platform: Platform, rate_max: float) -> Iterator[None]:
    """Have commands of all kinds sent, now more and now fewer of them a second, and a few that are refused."""
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as executor:
        flow = executor.submit(_send_until, stop, platform, rate_max)
        try:
            yield
        finally:
            stop.set()
        flow.result()  # raises what went wrong


def _send_until(stop: threading.Event, platform: Platform, rate_max: float) -> None:
    began, pause_s = time.monotonic(), 1 / rate_max
    with httpx.Client(base_url=platform.endpoints["rest"], timeout=_TIMEOUT_S) as rest:
        for count in itertools.count(1):
            if stop.wait(pause_s):
                return
            path = _REFUSED if count % _ONE_IN_REFUSED == 0 else _COMMANDS[count % len(_COMMANDS)]
            rest.post(path).raise_for_status()
            swing = math.sin(2 * math.pi * (time.monotonic() - began) / _SWING_S)
            pause_s = 1 / (rate_max * (0.55 + 0.45 * swing))


@contextmanager
def paused_lane(platform: Platform, lane: str = PAUSED_LANE) -> Iterator[None]:
    """Have a lane paused, with commands that wait for it."""
    control_lane(platform, lane, "pause", "Redis gets a new disk")
    eventually(lambda: "paused by ana" in _lanes_page(platform), _TIMEOUT_S)
    try:
        for _ in range(_LAG_RECORDS):
            send(platform, "/cache/conteudo/1001")
        yield
    finally:
        control_lane(platform, lane, "resume", "the disk is there")


def control_lane(platform: Platform, lane: str, action: str, why: str) -> None:
    """Pause or resume a lane, as somebody does by the page."""
    said = {"lane": lane, "action": action, "principal": "ana", "justification": why}
    httpx.post(f"{platform.endpoints['dashboard']}/lanes", data=said, timeout=_TIMEOUT_S).raise_for_status()


def send(platform: Platform, path: str, body: Any = None) -> dict[str, Any]:
    """Send a command over REST, and return its operation."""
    answer = httpx.post(f"{platform.endpoints['rest']}{path}", json=body, timeout=_TIMEOUT_S)
    sent: dict[str, Any] = answer.raise_for_status().json()
    return sent


def operation(platform: Platform, correlation_id: str) -> dict[str, Any]:
    """Return an operation as REST has it."""
    answer = httpx.get(f"{platform.endpoints['rest']}/v1/operations/{correlation_id}", timeout=_TIMEOUT_S)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def story(platform: Platform, correlation_id: str) -> dict[str, Any]:
    """Return an operation's story as REST has it."""
    answer = httpx.get(f"{platform.endpoints['rest']}/v1/operations/{correlation_id}:explain", timeout=_TIMEOUT_S)
    told: dict[str, Any] = answer.raise_for_status().json()
    return told


def _lanes_page(platform: Platform) -> str:
    return httpx.get(f"{platform.endpoints['dashboard']}/lanes?lang=en", timeout=_TIMEOUT_S).raise_for_status().text


def _waits_behind(platform: Platform, correlation_id: str, broken: str) -> bool:
    receipts = operation(platform, correlation_id).get("receipts", [])
    return broken in {receipt.get("waits_behind", "") for receipt in receipts}
