"""`polystream replay`: MongoDB and Redis built anew beside the live ones, from what real lanes have made of the log."""

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import CacheContentRequest, DeleteContentRequest
from polystream.v1.operations_pb2 import Operation
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest, DeleteSessionRequest, UpdateSessionRequest
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest

from cli.commands import replay as command
from mesh import topics
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.envelope import KafkaRecord, RedriveAction, redrive_headers
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import KafkaSettings, MongoSettings, PostgresSettings, RedisSettings
from mesh.topic_reader import TopicReader
from processor.incarnation import TopicIncarnation
from processor.integrity.mongodb_door import MongoDoor
from processor.integrity.redis_door import RedisDoor
from processor.model import GivenUp
from processor.receipts import make_dead_letter_receipt
from processor.replay.outcome import LeftOut, Missing, Replayed
from processor.replay.replay import TargetRefusedError, replay
from processor.stores.mongodb import MongoStore
from processor.stores.redis_markers import MarkerBounds
from tests.support.engine_pool import Lease
from tests.support.headers import header_texts
from tests.support.lanes import CATALOG, LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import CHECKOUT, EngineSet
from tests.support.waiting import eventually

ANA, BIA, CAIO, ERASED, BACK, NOBODY = range(8101, 8107)
STORES: Final = ("MONGODB", "REDIS")
_TIMEOUT_S: Final = 30.0
_OTHERS: Final = "somebody_elses"  # a collection, or a key, that is not the platform's
_VIEWS, _RECOMMENDATIONS, _DELETED = "historico_visualizacao", "recomendacoes", "visualizacoes_apagadas"
# Kills its own process in the middle: one command a batch, and the fifth is the last.
_KILLED: Final = """
import os, signal, sys
from processor.replay import replay, targets
replay._BATCH_COMMANDS = 1
def dying(name):
    keep, left = getattr(targets, name).keep_answers, [5]
    def keep_answers(self, receipts):
        keep(self, receipts)
        left[0] -= len(receipts)
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
    getattr(targets, name).keep_answers = keep_answers
dying("MongoTarget")
dying("RedisTarget")
replay.replay(sys.argv[1], sys.argv[2], overwrite=True, is_dry=False)
"""

pytestmark = pytest.mark.timeout(300)


class LiveStores:
    """The lanes of the three stores, after somebody has lived with them for a while."""

    def __init__(self, running: EngineSet, folder: Path, closing_: ExitStack) -> None:
        self.wire = Wire(running)
        closing_.callback(self.wire.close)
        self._running, self._folder, self._closing = running, folder, closing_
        self.lanes = {store: self.lane(store, {}) for store in ("POSTGRESQL", *STORES)}
        for lane in self.lanes.values():
            lane.start(wait=False)
        for lane in self.lanes.values():
            lane.wait_ready()
        redis_url = RedisSettings().url.rsplit("/", 1)[0] if RedisSettings().url.count("/") > 2 else RedisSettings().url
        mongo_url = MongoSettings().url
        self.targets = {
            "MONGODB": mongo_url.replace("/streaming_db", "/rebuilt_db"),
            "REDIS": f"{redis_url}/5",
        }
        assert self.targets["MONGODB"] != mongo_url

    def lane(self, store: str, settings: dict[str, str], name: str = "") -> LaneProcess:
        """Return a lane that does not run yet."""
        lane = LaneProcess(self._running, store.lower(), self._folder, name or f"lane-{store.lower()}", settings)
        return self._closing.enter_context(lane)

    def send(self, request: Message, *states: "Operation.State", **headers: str) -> str:
        """Have the lanes answer a command, by default with success, and return its correlation ID."""
        sent = self.wire.send(request, **headers)
        self.wire.flush()
        stores = next(c.stores for c in CATALOG.commands.values() if c.request_class is type(request))
        receipts = self.wire.wait_receipts(sent, len(stores), _TIMEOUT_S)
        assert {receipt.state for receipt in receipts} == ({*states} or {Operation.SUCCEEDED}), receipts
        return sent

    def send_all(self, *requests: Message) -> list[str]:
        """Have the lanes apply commands, whose order among each other is by user alone; return their IDs."""
        sent = [self.wire.send(request) for request in requests]
        self.wire.flush()
        for id_, request in zip(sent, requests, strict=True):
            stores = next(c.stores for c in CATALOG.commands.values() if c.request_class is type(request))
            self.wire.wait_receipts(id_, len(stores), _TIMEOUT_S)
        return sent


def _live(live: LiveStores) -> None:
    """Have every command of both stores, some refused, somebody erased, and somebody erased who came back."""
    users = (ANA, BIA, CAIO, ERASED, BACK)
    live.send_all(*(CreateUserRequest(user_id=user_id, **person()) for user_id in users))
    live.send_all(*(CreateSessionRequest(user_id=user_id, device="TV") for user_id in users))
    sent = live.send_all(*(_view(user_id, content_id) for user_id in users for content_id in range(1, 4)))
    live.send(DeleteViewRequest(user_id=BACK, view_id=sent[-1]))
    live.send(DeleteViewRequest(user_id=BACK, view_id=new_correlation_id()), Operation.FAILED)
    live.send(_view(BIA, 9))
    for user_id in (ANA, ERASED):
        live.send(GenerateRecommendationsRequest(user_id=user_id))
    live.send(_view(ANA, 9))  # recommendations made anew would be others
    prolonged, ended, past = (
        live.send(CreateSessionRequest(user_id=ANA, device="WEB", ttl_seconds=n)) for n in (60, 60, 1)
    )
    live.send(UpdateSessionRequest(session_id=prolonged, ttl_seconds=7200))
    live.send(UpdateSessionRequest(session_id=new_correlation_id(), ttl_seconds=60), Operation.FAILED)
    live.send(DeleteSessionRequest(session_id=ended))
    for content_id, title in ((1, "Um"), (2, "Dois"), (1, "Um, de novo")):
        live.send(CacheContentRequest(content_id=content_id, title=title, kind="MOVIE", genres=["a"]))
    live.send(DeleteContentRequest(content_id=2))
    live.send(DeleteContentRequest(content_id=3), Operation.FAILED)
    live.send(DeleteUserRequest(user_id=ERASED))
    live.send(DeleteUserRequest(user_id=BACK))
    live.send(CreateUserRequest(user_id=BACK, **person()))
    live.send(_view(BACK, 7))
    live.send(CreateSessionRequest(user_id=BACK, device="MOBILE"))
    for request in (_view(NOBODY, 1), CreateSessionRequest(user_id=NOBODY, device="TV")):
        live.send(request, Operation.FAILED)
    for name in ("RecordView", "CreateSession"):
        headers = {topics.CORRELATION_ID: new_correlation_id(), topics.COMMAND: name}
        live.wire.send_raw(str(CAIO).encode(), b"no record", headers)
        live.wire.flush()
        live.wire.wait_receipts(headers[topics.CORRELATION_ID], 1, _TIMEOUT_S)
    redis = _redis_of(RedisSettings().url).client
    eventually(lambda: not redis.exists(f"sessao:{past}"), _TIMEOUT_S)
    redis.zrem(f"sessoes:{ANA}", past)  # what the live store would forget by and by


def _view(user_id: int, content_id: int) -> RecordViewRequest:
    return RecordViewRequest(user_id=user_id, content_id=content_id, title=f"Ação {content_id}", kind="MOVIE")


@pytest.fixture(scope="module")
def live(lease: Lease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStores]:
    """Return stores that have lived."""
    running = lease("postgresql", "mongodb", "redis", "kafka", "schema_registry")
    run_module(running, "stack.provision")
    run_module(running, "processor", "migrate")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as closing_:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        opened = LiveStores(running, tmp_path_factory.mktemp("lanes"), closing_)
        _live(opened)
        yield opened


def _mongo_of(url: str) -> MongoDoor:
    return MongoDoor(MongoSettings(url=url))


def _redis_of(url: str) -> RedisDoor:
    return RedisDoor(RedisSettings(url=url), MarkerBounds(3600, 1 << 20))


def mongo_contents(url: str) -> dict[Any, Any]:
    """Return what a database of MongoDB has, but for the times of the store's own notes."""
    with closing(_mongo_of(url)) as door:
        found: dict[str, Any] = {
            name: {one["_id"]: one for one in door.db[name].find()} for name in (_VIEWS, _RECOMMENDATIONS, _DELETED)
        }
        users = {one["_id"]: one for one in door.db["usuarios_conhecidos"].find()}
    for user in users.values():
        user.get("excluido_em", {}).pop("data", None)
    return {**found, "users": users}


def redis_contents(url: str) -> dict[Any, Any]:
    """Return what a database of Redis has, but for markers and the store's own notes."""
    found: dict[Any, Any] = {}
    with closing(_redis_of(url)) as door:
        client: Any = door.client
        for key in client.scan_iter():
            if key.startswith((b"conteudo:", b"sessao:")) or key == b"usuarios:conhecidos":
                found[key] = (client.hgetall(key), client.pexpiretime(key))
            elif key.startswith((b"sessoes:", b"conteudos")):
                found[key] = (client.zrange(key, 0, -1, withscores=True), client.pexpiretime(key))
    return found


CONTENTS: Final[dict[str, Callable[[str], dict[Any, Any]]]] = {"MONGODB": mongo_contents, "REDIS": redis_contents}


def live_contents(store: str) -> dict[Any, Any]:
    """Return what the live store has."""
    return CONTENTS[store](MongoSettings().url if store == "MONGODB" else RedisSettings().url)


def built(live: LiveStores, store: str, *, overwrite: bool = True, is_dry: bool = False) -> Replayed:
    """Return a replay of a store into its target."""
    return replay(store, live.targets[store], overwrite=overwrite, is_dry=is_dry)


def plant(live: LiveStores, store: str) -> None:
    """Put something into a target that is not the platform's."""
    if store == "MONGODB":
        with closing(_mongo_of(live.targets[store])) as door:
            door.db[_OTHERS].insert_one({"_id": new_correlation_id()})
    else:
        with closing(_redis_of(live.targets[store])) as redis_door:
            redis_door.client.set(_OTHERS, b"x")


def is_planted(live: LiveStores, store: str) -> bool:
    """Whether it is there still."""
    if store == "MONGODB":
        with closing(_mongo_of(live.targets[store])) as door:
            return door.db[_OTHERS].find_one() is not None
    with closing(_redis_of(live.targets[store])) as redis_door:
        return bool(redis_door.client.exists(_OTHERS))


@pytest.mark.parametrize("store", STORES)
def test_target_is_as_the_live_store(live: LiveStores, store: str) -> None:
    """Documents and keys are equal, hash by hash; what was refused, given up or is an erased person's is not there."""
    counted = built(live, store, is_dry=True)
    plant(live, store)

    done = built(live, store, overwrite=False)  # what is not the platform's does not make it full

    assert done.is_whole, (done, done.check)
    assert CONTENTS[store](live.targets[store]) == live_contents(store)
    assert counted.applied == done.applied
    assert (counted.left_out, counted.positions) == (done.left_out, done.positions)
    commands = {name for name, one in CATALOG.commands.items() if store in one.stores}
    assert done.applied.keys() == commands
    assert done.left_out[LeftOut.GIVEN_UP] == 1
    assert done.left_out[LeftOut.REFUSED] >= 2
    assert done.left_out[LeftOut.USER_GONE] >= 1
    assert done.expired == (1 if store == "REDIS" else 0)
    marked = users_of_marks(live, store)
    assert ANA in marked
    assert not marked & {ERASED, NOBODY}


def users_of_marks(live: LiveStores, store: str) -> set[int]:
    """Return whom the marks in a target are about, but for those of erasures."""
    door = _mongo_of(live.targets[store]) if store == "MONGODB" else _redis_of(live.targets[store])
    with closing(door):
        page, _ = door.mark_page(None, 10_000)
    return {one.user_id for one in page if one.command != "DeleteUser"}


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("into", ["mongodb://127.0.0.1:1", "http://127.0.0.1:1/x", "nothing"])
def test_what_is_no_database_is_named_by_its_option(store: str, into: str) -> None:
    """Not by the setting that the live database has."""
    with pytest.raises(TargetRefusedError, match=r"^--into names no such database: it takes a URL, as "):
        replay(store, into, overwrite=False, is_dry=False)


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("store", STORES)
def test_the_live_database_is_refused_by_whatever_name(store: str) -> None:
    """Nothing of it is touched, `--overwrite` or not."""
    url = MongoSettings().url if store == "MONGODB" else RedisSettings().url
    before = live_contents(store)

    for name in (url, url.replace("127.0.0.1", "localhost")):
        with pytest.raises(TargetRefusedError, match="live"):
            replay(store, name, overwrite=True, is_dry=False)

    assert live_contents(store) == before


@pytest.mark.parametrize("store", ["MONGODB"])  # of the other, emptying is the same step
def test_killed_half_way_it_is_run_again(live: LiveStores, store: str) -> None:
    """The second run ends as one that nothing had come before."""
    arguments = [sys.executable, "-c", _KILLED, store, live.targets[store]]
    killed = subprocess.run(arguments, cwd=CHECKOUT, env=dict(os.environ), timeout=60, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert CONTENTS[store](live.targets[store]) != live_contents(store)

    done = built(live, store)

    assert done.is_whole
    assert CONTENTS[store](live.targets[store]) == live_contents(store)


@pytest.mark.parametrize("store", STORES)
def test_the_command_says_it_all(
    live: LiveStores, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit codes: 0 where the target agrees, 2 where it is full; in words, and in JSON. It leaves what is others'."""
    plant(live, store)
    monkeypatch.setattr(command, "take_settings_of", lambda _: None)
    arguments = Namespace(
        store=store.lower(), into=live.targets[store], overwrite=True, dry_run=False, json=True, data_dir=Path()
    )

    assert command.run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    arguments.json = False
    assert command.run(arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    arguments.overwrite = False
    assert command.run(arguments) == 2

    assert told["whole"]
    assert told["validator"] == {"sound": True, "contents_without_hash": 0, "findings": []}
    assert told["differs"]
    assert "the validator agrees" in shown
    assert "--overwrite" in capsys.readouterr().err
    assert is_planted(live, store)
    assert CONTENTS[store](live.targets[store]) == live_contents(store)


@pytest.mark.parametrize("store", ["MONGODB"])  # of both, the answers alone tell
def test_what_is_parked_is_missing_until_it_is_redriven(live: LiveStores, store: str) -> None:
    """What was given up is left out, and what waits behind it is missing; afterwards they are there, in order."""
    first, second = _view(CAIO, 51), _view(CAIO, 52)
    live.lanes[store].stop()
    given_up = live.wire.send(first)
    live.wire.flush()
    record = _park(given_up)
    live.lanes[store].start()
    waiting = live.send(second, Operation.ACCEPTED)

    before = built(live, store)

    assert before.missing == {Missing.WAITS: 1}
    assert before.left_out[LeftOut.GIVEN_UP] == 2
    assert not before.is_whole
    headers = redrive_headers(
        record.headers, redrives=1, first_offset=record.offset, action=RedriveAction.REDRIVE, stores=[store]
    )
    live.wire.send_raw(record.key, record.value, header_texts(headers))
    live.wire.flush()
    eventually(lambda: Operation.SUCCEEDED in _states(live, waiting), _TIMEOUT_S)
    after = built(live, store)
    assert after.is_whole, (after, after.check)
    assert CONTENTS[store](live.targets[store]) == live_contents(store)


def _states(live: LiveStores, correlation_id: str) -> set[int]:
    live.wire.drain()
    return {receipt.state for receipt in live.wire.receipts(correlation_id)}


def _park(correlation_id: str) -> KafkaRecord:
    """Give a command up that is on the topic, as its lane would, and return its record."""
    kafka = KafkaSettings()
    with TopicReader(kafka) as reader:
        records = list(reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)))
    record = next(one for one in records if one.read_headers().correlation_id == correlation_id)
    receipt = make_dead_letter_receipt(
        correlation_id=correlation_id,
        command=record.read_headers().command,
        store="MONGODB",
        position=RecordPosition.of(record),
        cause=PolystreamError(Reason.HANDLER_FAILED),
        user_id=CAIO,
        accept_time_ms=record.timestamp_ms,
        receive_time_ns=record.receive_time_ns,
        complete_time_ns=record.receive_time_ns,
        request_fingerprint=b"",
    )
    incarnation = TopicIncarnation(kafka.client_config("test"))
    opened = MongoStore(MongoSettings(), PostgresSettings(), {}, incarnation)
    with closing(opened):
        opened.park([GivenUp(record, record.key or b"", receipt)])
    return record


@pytest.mark.parametrize("store", STORES)
def test_a_lane_goes_on_in_the_target(live: LiveStores, store: str) -> None:
    """Even with its group set back to the beginning it applies nothing twice, and then what is new."""
    live.lanes[store].stop()
    done = built(live, store)
    before = CONTENTS[store](live.targets[store])
    _set_back(store, list(done.positions))
    lane = live.lane(store, {f"{store}_URL": live.targets[store]}, f"lane-rebuilt-{store.lower()}")

    lane.start()
    new = live.send(
        _view(ANA, 77) if store == "MONGODB" else CacheContentRequest(content_id=77, title="x", kind="MOVIE")
    )

    after = CONTENTS[store](live.targets[store])
    if store == "MONGODB":
        assert after[_VIEWS].pop(new)["conteudo_id"] == 77
    else:
        assert after.pop(b"conteudo:77")
        after.pop(b"conteudos")
        before.pop(b"conteudos")
    assert after == before


def _set_back(store: str, partitions: list[int]) -> None:
    kafka = KafkaSettings()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    with TopicReader(kafka) as reader:
        begins = {partition: extent.begin for partition, extent in reader.extents(topics.COMMANDS).items()}
    offsets = [TopicPartition(topics.COMMANDS, partition, begins[partition]) for partition in partitions]
    request = [ConsumerGroupTopicPartitions(topics.lane_group(store), offsets)]

    def is_done() -> bool:
        (future,) = admin.alter_consumer_group_offsets(request).values()
        return all(told.error is None for told in future.result(10).topic_partitions)

    eventually(is_done, _TIMEOUT_S)
