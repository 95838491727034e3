"""The story of every command is complete, though few are traced, lanes are killed and the event store stands still.

`POLYSTREAM_STORIES_COUNT` sets how many commands are sent, `POLYSTREAM_STORIES_STOP_S` for how long the event store is
away.
"""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.acceptance.conftest import Json
from tests.support.engine_sets import chosen_sets
from tests.support.freezing import frozen
from tests.support.platform import Platform
from tests.support.waiting import eventually

_COUNT: Final = int(os.environ.get("POLYSTREAM_STORIES_COUNT", "600"))
_STOP_S: Final = float(os.environ.get("POLYSTREAM_STORIES_STOP_S", "8"))
_CLIENTS: Final = 8
_RETRIES_MAX: Final = 600
_RETRY_PAUSE_S: Final = 0.1
_CALL_TIMEOUT_S: Final = 30.0
_SENT_TIMEOUT_S: Final = 120 + _COUNT / 10
_SETTLE_TIMEOUT_S: Final = 120 + _COUNT / 25
_NOT_NOW: Final = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
_TRACED_SHARE: Final = 0.01
_SETTINGS: Final = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": str(_TRACED_SHARE),
}
# Commands of every store, and of several, as the old demo's clients send them: the gateway makes the rest up.
_PATHS: Final = (
    "/usuarios",
    "/usuarios/1234/assinatura",
    "/usuarios/1234/pagamento",
    "/usuarios/1234/config",
    "/historico-visualizacao?user_id=1234&conteudo_id=5678",
    "/recomendacoes/gerar",
    "/cache/conteudo/{serial}",
)
_ANSWERED: Final = ("command.succeeded", "command.failed")


class Load:
    """Sends commands from several clients, and keeps what was acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._paths = cycle(_PATHS)
        self._serial = count(1)
        self._next = threading.Lock()
        self.acknowledged: list[str] = []  # correlation IDs
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_CLIENTS)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all is sent."""
        for thread in self._threads:
            thread.join(_SENT_TIMEOUT_S)

    def have_sent(self, commands: int) -> bool:
        """Tell whether so many are acknowledged, or there will be no more of them."""
        return len(self.acknowledged) >= commands or not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=_CALL_TIMEOUT_S) as client:
            while True:
                with self._next:
                    serial, path = next(self._serial), next(self._paths)
                if serial > _COUNT:
                    return
                try:
                    self._send(client, path.format(serial=100_000 + serial))
                except (AssertionError, httpx.HTTPError) as error:
                    self.failures.append(f"{path}: {error!r}")
                    return

    def _send(self, client: httpx.Client, path: str) -> None:
        pause = threading.Event()
        for _ in range(_RETRIES_MAX):
            answer = client.post(path)
            if answer.status_code not in _NOT_NOW:
                assert answer.is_success, answer.text
                self.acknowledged.append(answer.json()["correlation_id"])
                return
            pause.wait(_RETRY_PAUSE_S)  # as RetryInfo asks for
        raise AssertionError(f"refused {_RETRIES_MAX} times: {answer.text}")


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Keep everybody else from writing to a SQLite file while the block runs."""
    with closing(sqlite3.connect(database, timeout=_CALL_TIMEOUT_S, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            db.execute("ROLLBACK")


def _event_store_away(platform: Platform) -> AbstractContextManager[None]:
    if platform.engine_set == "native":
        return frozen(platform.pid("opensearch"))
    (database,) = platform.data_dir.rglob("events.sqlite")
    return _locked(database)


def _read(client: httpx.Client, correlation_id: str) -> Json:
    story: Json = client.get(f"/v1/operations/{correlation_id}:explain").raise_for_status().json()
    return story


def _until_complete(client: httpx.Client, correlation_ids: Sequence[str]) -> dict[str, Json]:
    """Return the story of each, once none has anything missing or is under way."""
    stories: dict[str, Json] = {}

    def lacking() -> list[str]:
        for correlation_id in correlation_ids:
            if correlation_id not in stories:
                story = _read(client, correlation_id)
                if story.get("missing") or story["operation"]["state"] == "ACCEPTED":
                    return [correlation_id, *story.get("missing", [])]
                stories[correlation_id] = story
        return []

    is_told: Callable[[], bool] = lambda: not lacking()  # noqa: E731 # the reason is in what it calls
    try:
        eventually(is_told, _SETTLE_TIMEOUT_S, interval_s=0.2)
    except AssertionError as error:
        raise AssertionError(f"{len(stories)} stories are complete, then: {lacking()}") from error
    return stories


def _killed_when_answered(platform: Platform, client: httpx.Client, serial: int) -> str:
    """Send a command that is traced, kill its lane the moment that it has answered, and return the correlation ID."""
    traced = {"traceparent": f"00-{serial:032x}-{serial:016x}-01"}
    lane = platform.pid("lane-redis-0")
    correlation_id: str = client.post(f"/cache/conteudo/{serial}", headers=traced).json()["correlation_id"]
    done = client.post(f"/v1/operations/{correlation_id}:wait").raise_for_status().json()
    platform.kill("lane-redis-0")
    assert done["state"] == "SUCCEEDED"
    eventually(lambda: platform.is_back("lane-redis-0", lane), _SETTLE_TIMEOUT_S)
    return correlation_id


@pytest.mark.timeout(_SENT_TIMEOUT_S + _SETTLE_TIMEOUT_S + _STOP_S + 240)
@pytest.mark.parametrize("engine_set", chosen_sets())
def test_every_story_is_complete(tmp_path: Path, engine_set: str) -> None:
    """Each hop and each receipt is there once, for traced commands their spans too, whatever stood still meanwhile."""
    with Platform(tmp_path / "platform", engine_set=engine_set, settings=_SETTINGS) as platform:
        url = platform.door("gateway")
        with httpx.Client(base_url=url, timeout=_CALL_TIMEOUT_S) as client:
            killed = [_killed_when_answered(platform, client, serial) for serial in range(1, 4)]
            assert all(story["spans"] for story in _until_complete(client, killed).values())
        load = Load(url)
        load.start()
        eventually(lambda: load.have_sent(_COUNT // 4), _SENT_TIMEOUT_S)
        lane = platform.pid("lane-mongodb-0")
        platform.kill("lane-mongodb-0")
        with _event_store_away(platform):
            threading.Event().wait(_STOP_S)  # how long it is away is what is tried
        load.join()
        eventually(lambda: platform.is_back("lane-mongodb-0", lane), _SETTLE_TIMEOUT_S)
        assert load.failures == []
        assert len(set(load.acknowledged)) == _COUNT
        with httpx.Client(base_url=url, timeout=_CALL_TIMEOUT_S) as client:
            stories = _until_complete(client, load.acknowledged)
    for correlation_id, story in stories.items():
        kinds = Counter(hop["event_type"] for hop in story["hops"])
        assert kinds["command.accepted"] == 1, (correlation_id, kinds)
        answers = [hop for hop in story["hops"] if hop["event_type"] in _ANSWERED]
        # A lane that is started again repeats the answers that it may not have sent, and says so.
        first = Counter(hop["store"] for hop in answers if not hop.get("duplicate"))
        assert set(first.values()) <= {1}, (correlation_id, first)
        told = {receipt["store"] for receipt in story["operation"]["receipts"]}
        assert {hop["store"] for hop in answers} == told, correlation_id
    traced = sum(bool(story.get("spans")) for story in stories.values())
    assert traced < _COUNT / 4, "few commands were to be traced"
