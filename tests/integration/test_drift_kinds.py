"""Drift of every kind, planted in each store: found as what it is, told apart from lag, repaired, and gone.

A table of stores and kinds, all of which is planted before one check. What cannot be: a row of a user who is not in
PostgreSQL (ORPHAN) is kept out by its foreign keys, and nothing there is kept to find something else faster
(SOURCE_DIFFERS).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from bson.int64 import Int64
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from polystream.options.v1.options_pb2 import Store
from polystream.v1.contents_pb2 import CacheContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.payments_pb2 import CancelPaymentRequest, CreatePaymentRequest, Payment
from polystream.v1.preferences_pb2 import UpdatePreferencesRequest
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest
from polystream.v1.subscriptions_pb2 import CreateSubscriptionRequest
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest

from mesh import topics
from mesh.settings import KafkaSettings, MongoSettings, PostgresSettings, RedisSettings
from mesh.topic_reader import TopicReader
from processor.incarnation import TopicIncarnation
from processor.integrity.inspection import Drift, Repair, check, plan, repair
from processor.integrity.kinds import DriftKind
from processor.integrity.mending import Mended
from processor.integrity.mongodb_door import MongoDoor
from processor.integrity.orphans import LanesBehindError
from processor.integrity.postgresql_door import PostgresDoor
from processor.integrity.redis_door import RedisDoor
from processor.stores.redis_markers import MarkerBounds
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG, LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

ANA, NOBODY = 7001, 7999
_TIMEOUT_S: Final = 30.0
STORES: Final = ("POSTGRESQL", "MONGODB", "REDIS")

pytestmark = pytest.mark.timeout(300)


class World:
    """The lanes of the three stores at work, and everybody's back door to the stores."""

    def __init__(self, running: EngineSet, folder: Path, closing: ExitStack) -> None:
        self.wire = Wire(running)
        closing.callback(self.wire.close)
        often = {"LANE_VALIDATE_RECORDS_PER_S": "1000"}
        self.lanes = {
            store: LaneProcess(running, store.lower(), folder, f"lane-{store.lower()}", often) for store in STORES
        }
        for lane in self.lanes.values():
            closing.enter_context(lane).start(wait=False)
        for lane in self.lanes.values():
            lane.wait_ready()
        self.postgresql = PostgresDoor(PostgresSettings())
        self.mongodb = MongoDoor(MongoSettings())
        self.redis = RedisDoor(RedisSettings(), MarkerBounds(3600, 1 << 20))
        self.doors: dict[str, Any] = {"POSTGRESQL": self.postgresql, "MONGODB": self.mongodb, "REDIS": self.redis}
        for door in self.doors.values():
            closing.callback(door.close)
        self.sql = closing.enter_context(psycopg.connect(PostgresSettings().dsn, autocommit=True))
        self.db, self.keys = self.mongodb.db, self.redis.client
        self.kafka = KafkaSettings()
        self.topic_id = TopicIncarnation(self.kafka.client_config("test"))()
        self.people = 0

    def do(self, *requests: Message) -> list[str]:
        """Have the lanes apply commands, and return their correlation IDs."""
        sent = [self.wire.send(request) for request in requests]
        self.wire.flush()
        for id_, request in zip(sent, requests, strict=True):
            stores = next(c.stores for c in CATALOG.commands.values() if c.request_class is type(request))
            receipts = self.wire.wait_receipts(id_, len(stores), _TIMEOUT_S)
            assert {receipt.state for receipt in receipts} == {Operation.SUCCEEDED}
        return sent

    def do_one(self, request: Message) -> str:
        """Have the lanes apply a command, and return its correlation ID."""
        (sent,) = self.do(request)
        return sent

    def user(self) -> int:
        """Have somebody come, and return who it is."""
        self.people += 1
        user_id = 7100 + self.people
        self.do_one(CreateUserRequest(user_id=user_id, **person()))
        return user_id

    def erased(self) -> tuple[int, datetime]:
        """Have a person come and go; return who it was, and since when."""
        user_id = self.user()
        found = self.sql.execute("SELECT data_criacao FROM usuarios WHERE user_id = %s", (user_id,)).fetchone()
        assert found is not None
        self.do_one(DeleteUserRequest(user_id=user_id))
        return user_id, found[0]

    def newest(self, table: str, user_id: int) -> int:
        """Return the ID of a table's newest row of a user's."""
        found = self.sql.execute(f"SELECT max(id) FROM {table} WHERE user_id = {user_id}").fetchone()  # constants
        assert found is not None
        return int(found[0])

    def ends(self) -> dict[int, int]:
        """Return the ends of the commands' topic."""
        with TopicReader(self.kafka) as reader:
            return reader.ends(topics.COMMANDS)

    def forget(self, store: str, correlation_id: str) -> None:
        """Take a mark away."""
        if store == "POSTGRESQL":
            self.sql.execute("DELETE FROM inbox WHERE correlation_id = %s", (correlation_id,))
        elif store == "MONGODB":
            self.db["comandos_aplicados"].delete_one({"_id": correlation_id})
        else:
            self.keys.delete(f"comando:{correlation_id}")


@pytest.fixture(scope="module")
def world(lease: Lease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Somebody has lived with the platform for a while."""
    running = lease("postgresql", "mongodb", "redis", "kafka", "schema_registry")
    run_module(running, "stack.provision")
    run_module(running, "processor", "migrate")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as closing:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        patch.setattr("processor.integrity.drift_search.BEHIND_MAX_S", 0.0)  # as if an hour had passed
        opened = World(running, tmp_path_factory.mktemp("lanes"), closing)
        opened.do(CreateUserRequest(user_id=ANA, **person()))
        yield opened


def payment(user_id: int = ANA) -> CreatePaymentRequest:
    """Return a payment."""
    return CreatePaymentRequest(
        user_id=user_id, amount=Money(currency_code="BRL", units=19, nanos=990_000_000), method=Payment.PIX
    )


def view(user_id: int = ANA) -> RecordViewRequest:
    """Return a view."""
    return RecordViewRequest(user_id=user_id, content_id=5678, title="Ação", kind="MOVIE", position_percent=33.3)


def session(user_id: int = ANA) -> CreateSessionRequest:
    """Return a session."""
    return CreateSessionRequest(user_id=user_id, device="TV")


def subscription() -> CreateSubscriptionRequest:
    """Return a subscription of somebody's."""
    return CreateSubscriptionRequest(plan="PREMIUM", months=1)


def preferences() -> UpdatePreferencesRequest:
    """Return preferences of somebody's."""
    return UpdatePreferencesRequest(language="pt-BR")


def recommendations() -> GenerateRecommendationsRequest:
    """Return a request for recommendations."""
    return GenerateRecommendationsRequest(user_id=ANA)


def content(content_id: int = 5) -> CacheContentRequest:
    """Return a content."""
    return CacheContentRequest(content_id=content_id, title="Ação", kind="MOVIE", genres=["a"])


Expected = tuple[DriftKind, str, str]  # kind, store, place
VIEWS, RECOMMENDATIONS = "historico_visualizacao", "recomendacoes"
K = DriftKind


@dataclass(frozen=True)
class Cell:
    """One drift: its kind and its store, what it is found in, and how to plant it."""

    kind: DriftKind
    store: str
    plant: Callable[[World], object]
    name: str = ""
    places: tuple[str, ...] = (topics.COMMANDS,)

    def __str__(self) -> str:
        return f"{self.kind} {self.store} {self.name}".strip()


def _row_gone(world: World, table: str, *requests: Message) -> None:
    """A row of somebody's of whom there is no more than that."""
    user_id = world.user()
    for request in requests:
        request.user_id = user_id  # type: ignore[attr-defined] # each has one
        world.do_one(request)
    world.sql.execute(f"DELETE FROM {table} WHERE id = {world.newest(table, user_id)}")  # constants


def _row_changed(world: World, table: str, change: str, *requests: Message) -> None:
    user_id = world.user()
    for request in requests:
        request.user_id = user_id  # type: ignore[attr-defined] # likewise
        world.do_one(request)
    world.sql.execute(f"UPDATE {table} SET {change} WHERE id = {world.newest(table, user_id)}")  # likewise


def _paid_and_gone(world: World) -> None:
    """The row and the mark: as an older backup has it."""
    user_id = world.user()
    sent = world.do_one(payment(user_id))
    world.sql.execute(f"DELETE FROM pagamentos WHERE user_id = {user_id}")
    world.forget("POSTGRESQL", sent)


def _canceled_and_gone(world: World) -> None:
    user_id = world.user()
    world.do_one(payment(user_id))
    world.do_one(CancelPaymentRequest(user_id=user_id, payment_id=world.newest("pagamentos", user_id)))
    world.sql.execute(f"DELETE FROM pagamentos WHERE user_id = {user_id}")


def _gone_session(world: World, *, mark_too: bool) -> None:
    sent = world.do_one(session())
    world.keys.delete(f"sessao:{sent}")
    if mark_too:
        world.forget("REDIS", sent)


def _gone_document(world: World, collection: str, request: Message, *, mark_too: bool = False) -> None:
    sent = world.do_one(request)
    world.db[collection].delete_one({"_id": sent})
    if mark_too:
        world.forget("MONGODB", sent)


def _changed_document(world: World, collection: str, request: Message, field: str) -> None:
    world.db[collection].update_one({"_id": world.do_one(request)}, {"$set": {field: 1}})


def _back_from_the_dead(world: World) -> None:
    user_id, since = world.erased()
    fields = person()
    world.sql.execute(
        "INSERT INTO usuarios (user_id, nome, email, cpf, data_criacao) VALUES (%s, 'x', %s, %s, %s)",
        (user_id, fields["email"], fields["cpf"], since),
    )


def _view_of(world: World, user_id: int) -> None:
    world.db[VIEWS].insert_one({"_id": f"planted-{user_id}", "user_id": Int64(user_id), "titulo": "x"})


def _session_of(world: World, user_id: int) -> None:
    world.keys.hset(f"sessao:planted-{user_id}", "user_id", str(user_id))
    world.keys.zadd(f"sessoes:{user_id}", {f"planted-{user_id}": 1.0})


def _unanswered(world: World, store: str, request: Message) -> None:
    """The lane's answer is nowhere: it has a mark, its offset is committed, and the topic has nothing."""
    lane = world.lanes[store]
    lane.stop()
    sent = world.wire.send(request)
    world.wire.flush()
    ends = world.ends()
    name = type(request).DESCRIPTOR.name.removesuffix("Request")
    receipt = CommandReceipt(correlation_id=sent, command=name, store=store, state=Operation.FAILED)
    receipt.complete_time.GetCurrentTime()
    world.doors[store].mark([receipt])
    passed = [TopicPartition(topics.COMMANDS, partition, end) for partition, end in ends.items()]
    admin = AdminClient({"bootstrap.servers": world.kafka.bootstrap_servers})
    request_ = [ConsumerGroupTopicPartitions(topics.lane_group(store), passed)]

    def is_done() -> bool:
        (future,) = admin.alter_consumer_group_offsets(request_).values()
        return all(told.error is None for told in future.result(10).topic_partitions)

    eventually(is_done, _TIMEOUT_S)
    for partition, end in ends.items():
        world.doors[store].set_position(world.topic_id, partition, end)
    lane.start()


def _positions(world: World, store: str) -> None:
    """One beyond the topic's end, and one behind what the lane has committed."""
    ends = world.ends()
    beyond, behind, *_ = sorted(ends, key=lambda one: -ends[one])
    world.doors[store].set_position(world.topic_id, beyond, ends[beyond] + 1000)
    world.doors[store].set_position(world.topic_id, behind, ends[behind] - 1)


def _remembered(world: World, store: str) -> None:
    if store == "MONGODB":
        world.db["usuarios_conhecidos"].insert_one({"_id": Int64(NOBODY)})
    else:
        world.keys.hset("usuarios:conhecidos", str(NOBODY), "")


def _sent_and(world: World, request: Message, do: Callable[[str], object]) -> None:
    do(world.do_one(request))


def _gone_user(world: World) -> None:
    user_id = world.user()
    world.do(UpdateUserRequest(user_id=user_id, name="Nome Novo"), payment(user_id), view(user_id), session(user_id))
    world.sql.execute(f"DELETE FROM usuarios WHERE user_id = {user_id}")


CELLS: Final = (
    Cell(K.LOST, "POSTGRESQL", _paid_and_gone, "payment"),
    Cell(
        K.LOST,
        "POSTGRESQL",
        lambda w: w.forget("POSTGRESQL", w.do_one(UpdateUserRequest(user_id=w.user(), name="Nome Novo"))),
        "change of a user",
    ),
    Cell(K.LOST, "MONGODB", lambda w: _gone_document(w, VIEWS, view(w.user()), mark_too=True)),
    Cell(K.LOST, "REDIS", lambda w: _gone_session(w, mark_too=True)),
    Cell(K.MARK_GONE, "POSTGRESQL", lambda w: w.forget("POSTGRESQL", w.do_one(payment(w.user()))), "payment"),
    Cell(
        K.MARK_GONE,
        "POSTGRESQL",
        lambda w: w.forget("POSTGRESQL", w.do_one(CreateUserRequest(user_id=7050, **person()))),
        "user",
    ),
    Cell(K.MARK_GONE, "MONGODB", lambda w: w.forget("MONGODB", w.do_one(view()))),
    Cell(K.MARK_GONE, "REDIS", lambda w: w.forget("REDIS", w.do_one(session())), "session"),
    Cell(K.MARK_GONE, "REDIS", lambda w: w.forget("REDIS", w.do_one(content(6))), "content"),
    Cell(K.ROW_GONE, "POSTGRESQL", lambda w: _row_gone(w, "pagamentos", payment()), "payment", ("pagamentos",)),
    Cell(K.ROW_GONE, "POSTGRESQL", _canceled_and_gone, "canceled payment", ("pagamentos",)),
    Cell(
        K.ROW_GONE,
        "POSTGRESQL",
        lambda w: _row_gone(w, "assinaturas", subscription(), subscription()),
        "subscription",
        ("assinaturas",),
    ),
    Cell(
        K.ROW_GONE,
        "POSTGRESQL",
        lambda w: _row_gone(w, "preferencias", preferences()),
        "preferences",
        ("preferencias",),
    ),
    Cell(K.ROW_GONE, "POSTGRESQL", _gone_user, "user", ("usuarios", "pagamentos")),
    Cell(K.ROW_GONE, "MONGODB", lambda w: _gone_document(w, VIEWS, view()), "view", (VIEWS,)),
    Cell(
        K.ROW_GONE,
        "MONGODB",
        lambda w: _gone_document(w, RECOMMENDATIONS, recommendations()),
        "recommendations",
        (RECOMMENDATIONS,),
    ),
    Cell(K.ROW_GONE, "REDIS", lambda w: _gone_session(w, mark_too=False), "session", ("sessao:",)),
    Cell(
        K.ROW_GONE,
        "REDIS",
        lambda w: _sent_and(w, content(8), lambda _: w.keys.delete("conteudo:8")),
        "content",
        ("conteudo:",),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "POSTGRESQL",
        lambda w: _row_changed(w, "usuarios", "nome = 'x'", UpdateUserRequest(name="Nome Novo")),
        "user",
        ("usuarios",),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "POSTGRESQL",
        lambda w: _row_changed(w, "pagamentos", "valor = 1", payment()),
        "payment",
        ("pagamentos",),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "POSTGRESQL",
        lambda w: _row_changed(w, "assinaturas", "plano = 'x'", subscription()),
        "subscription",
        ("assinaturas",),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "POSTGRESQL",
        lambda w: _row_changed(w, "preferencias", "idioma = 'x'", preferences()),
        "preferences",
        ("preferencias",),
    ),
    Cell(K.CONTENT_CHANGED, "MONGODB", lambda w: _changed_document(w, VIEWS, view(), "titulo"), "view", (VIEWS,)),
    Cell(
        K.CONTENT_CHANGED,
        "MONGODB",
        lambda w: _changed_document(w, RECOMMENDATIONS, recommendations(), "novo"),
        "recommendations",
        (RECOMMENDATIONS,),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "MONGODB",
        lambda w: _changed_document(w, VIEWS, view(), "hash_conteudo"),
        "hash of a view",
        (VIEWS,),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "REDIS",
        lambda w: _sent_and(w, content(9), lambda _: w.keys.hset("conteudo:9", "titulo", "x")),
        "content",
        ("conteudo:",),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "REDIS",
        lambda w: _sent_and(w, content(10), lambda _: w.keys.persist("conteudo:10")),
        "content that does not expire",
        ("conteudo:",),
    ),
    Cell(
        K.CONTENT_CHANGED,
        "REDIS",
        lambda w: _sent_and(w, session(), lambda id_: w.keys.hset(f"sessao:{id_}", "dispositivo", "x")),
        "session",
        ("sessao:",),
    ),
    Cell(K.ORPHAN, "MONGODB", lambda w: _view_of(w, NOBODY), "", ("usuarios",)),
    Cell(K.ORPHAN, "REDIS", lambda w: _session_of(w, NOBODY), "", ("usuarios",)),
    Cell(K.ERASED_LEFT, "POSTGRESQL", _back_from_the_dead, "", ("usuarios",)),
    Cell(K.ERASED_LEFT, "MONGODB", lambda w: _view_of(w, w.erased()[0]), "", ("usuarios",)),
    Cell(K.ERASED_LEFT, "REDIS", lambda w: _session_of(w, w.erased()[0]), "", ("usuarios",)),
    Cell(K.SOURCE_DIFFERS, "MONGODB", lambda w: _remembered(w, "MONGODB"), "known users", ("usuarios",)),
    Cell(K.SOURCE_DIFFERS, "REDIS", lambda w: _remembered(w, "REDIS"), "known users", ("usuarios",)),
    Cell(
        K.SOURCE_DIFFERS,
        "REDIS",
        lambda w: _sent_and(w, session(user_id := w.user()), lambda _: w.keys.delete(f"sessoes:{user_id}")),
        "index of sessions",
        ("sessao:",),
    ),
    Cell(
        K.SOURCE_DIFFERS,
        "REDIS",
        lambda w: _sent_and(w, content(11), lambda _: w.keys.zrem("conteudos", "11")),
        "index of contents",
        ("conteudo:",),
    ),
    # These last: no lane may have anything to do afterwards.
    Cell(K.RECEIPT_MISSING, "POSTGRESQL", lambda w: _unanswered(w, "POSTGRESQL", payment()), "", (topics.RECEIPTS,)),
    Cell(K.RECEIPT_MISSING, "MONGODB", lambda w: _unanswered(w, "MONGODB", view()), "", (topics.RECEIPTS,)),
    Cell(K.RECEIPT_MISSING, "REDIS", lambda w: _unanswered(w, "REDIS", content(7)), "", (topics.RECEIPTS,)),
    *(
        Cell(K.POSITION_WRONG, store, lambda w, store=store: _positions(w, store), "", (topics.COMMANDS,) * 2)  # type: ignore[misc]
        for store in STORES
    ),
)


@pytest.fixture(scope="module")
def found(world: World) -> Drift:
    """What a check finds once all of it is planted."""
    assert check().kinds == {}
    for cell in CELLS:
        cell.plant(world)
    return check()


@pytest.fixture(scope="module")
def planned(found: Drift) -> tuple[Drift, Sequence[Mended]]:
    """What a dry run would do; it finds the same, and changes nothing."""
    assert found.kinds
    return plan(accept_content=False)


@pytest.fixture(scope="module")
def repaired(planned: tuple[Drift, Sequence[Mended]]) -> tuple[Repair, Drift]:
    """What a repair does, and what a check finds afterwards."""
    del planned
    return repair(erase=True, force=False), check()


@pytest.mark.parametrize("cell", [pytest.param(cell, id=str(cell)) for cell in CELLS])
def test_drift_is_found(found: Drift, cell: Cell) -> None:
    """As what it is, where it is, and as often as it was planted."""
    expected = [(one.kind, one.store, place) for one in CELLS for place in one.places]
    for place in cell.places:
        one = (cell.kind, cell.store, place)
        assert places_of(found)[one] == expected.count(one)


def test_nothing_else_is_found(found: Drift) -> None:
    """Each difference is of one kind, and what is right is not named."""
    assert places_of(found) == Counter((cell.kind, cell.store, place) for cell in CELLS for place in cell.places)


def test_a_dry_run_changes_nothing(planned: tuple[Drift, Sequence[Mended]], found: Drift) -> None:
    """It says for each difference what would be done."""
    drift, mended = planned
    assert places_of(drift) == places_of(found)
    assert [one.finding.key for one in mended if not one.is_done] == []


def test_all_is_repaired_and_gone(repaired: tuple[Repair, Drift]) -> None:
    """A second check is sound."""
    done, again = repaired
    assert [(one.dead_letter.store, one.redrive_status, one.overtaken_by) for one in done.left] == []
    assert done.is_done, done
    assert places_of(again) == {}
    assert again.is_sound


def test_what_a_lane_has_yet_to_do_is_no_drift(
    world: World, repaired: tuple[Repair, Drift], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane that stands explains what its store still has: a check says so, and finds nothing once it goes on."""
    del repaired
    user_id = world.user()
    world.do(view(user_id))
    world.lanes["MONGODB"].stop()
    sent = [world.wire.send(request) for request in (view(), DeleteUserRequest(user_id=user_id))]
    world.wire.flush()
    world.wire.wait_receipts(sent[1], 2, _TIMEOUT_S)
    with monkeypatch.context() as patch:
        patch.setattr("processor.integrity.orphans._LANES_WAIT_MAX_S", 0.0)
        with pytest.raises(LanesBehindError, match="MONGODB"):
            check()
    world.lanes["MONGODB"].start()
    world.wire.wait_receipts(sent[1], 3, _TIMEOUT_S)
    assert check().is_sound


def test_a_content_of_which_nothing_tells_is_taken_only_if_somebody_says_so(
    world: World, repaired: tuple[Repair, Drift]
) -> None:
    """Neither a mark nor Kafka has what it was."""
    del repaired
    sent = world.do_one(view())
    world.db[VIEWS].update_one({"_id": sent}, {"$set": {"titulo": "x", "hash_conteudo": Int64(1)}})
    (left,) = repair(erase=False, force=False).mended
    assert (left.is_done, "--accept-content" in left.action) == (False, True)
    assert world.db[VIEWS].find_one({"_id": sent}, ["titulo"]) == {"_id": sent, "titulo": "x"}
    assert repair(erase=False, force=False, accept_content=True).is_done
    assert check().is_sound


def test_a_lane_tells_of_what_is_changed_in_its_store(world: World, repaired: tuple[Repair, Drift]) -> None:
    """By itself, in its health; and that it is right again."""
    del repaired
    sent = world.do_one(session())

    def told() -> Any:
        return world.lanes["REDIS"].told().get("counts", {}).get("contents_changed")

    eventually(lambda: told() == 0, _TIMEOUT_S)
    world.keys.hset(f"sessao:{sent}", "dispositivo", "x")
    eventually(lambda: told() == 1, _TIMEOUT_S)
    assert repair(erase=False, force=False).is_done
    eventually(lambda: told() == 0, _TIMEOUT_S)


def test_every_kind_is_in_the_table() -> None:
    """In every store where it can be."""
    cannot_be = {(K.ORPHAN, "POSTGRESQL"), (K.SOURCE_DIFFERS, "POSTGRESQL")}
    assert {(cell.kind, cell.store) for cell in CELLS} == {(k, s) for k in K for s in STORES} - cannot_be


def places_of(drift: Drift) -> Counter[Expected]:
    """Return how many of each kind there are in each place."""
    found: list[Expected] = [(one.kind, one.store, one.place) for one in drift.others]
    found += [(K.LOST, entry.dead_letter.store, topics.COMMANDS) for entry in drift.findings.lost]
    found += [(K.MARK_GONE, Store.Name(receipt.store), topics.COMMANDS) for receipt in drift.findings.unmarked]
    found += [(K.ORPHAN, one.store, "usuarios") for one in drift.orphans for _ in one.user_ids]
    return Counter(found)
