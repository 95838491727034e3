"""What the stores tell of themselves, and what is left of users who are gone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from bson.int64 import Int64
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import DeleteUserRequest
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest

from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import MongoSettings, RedisSettings
from processor.integrity.inspectors import MongoInspector, PostgresInspector, RedisInspector
from processor.integrity.orphans import Orphans, erase_orphans, find_orphans
from processor.stores.mongodb import MongoUserMemory, database_of
from processor.stores.mongodb import connect as connect_mongodb
from processor.stores.redis import RedisUserMemory
from processor.stores.redis import connect as connect_redis
from processor.users import Erasure
from tests.support.engine_pool import Lease
from tests.support.lanes import delivery as deliver
from tests.support.platform import EngineSet
from tests.support.stores import TOPIC_ID, Users, fresh_database, given_up, mongo_store, postgres_settings, redis_store

ANA, BIA, GONE, ERASED = 11, 12, 13, 14
MANY = 150  # more than one of MongoDB's queries takes


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores."""
    return lease("postgresql", "mongodb", "redis")


@pytest.fixture(scope="module")
def users(running: EngineSet) -> Users:
    """PostgreSQL with two users."""
    made = Users(postgres_settings(running))
    made.add(ANA, BIA)
    return made


class Inspectors:
    """The three stores from outside, and the lanes' own doors to two of them."""

    def __init__(self, running: EngineSet, closing: ExitStack) -> None:
        database = closing.enter_context(fresh_database(running)).name
        url = f"mongodb://127.0.0.1:{running.context.ports.mongodb}/{database}"
        redis_settings = RedisSettings(url=running.endpoints["redis"])
        self.postgresql = PostgresInspector(postgres_settings(running))
        self.mongodb = MongoInspector(MongoSettings(url=url))
        self.redis = RedisInspector(redis_settings)
        self.mongo_lane = mongo_store(running, database)
        self.redis_lane = redis_store(running)
        self.db = database_of(closing.enter_context(connect_mongodb(MongoSettings(url=url))))
        self.keys = closing.enter_context(connect_redis(redis_settings))
        self.keys.flushdb()
        for opened in (self.postgresql, self.mongodb, self.redis, self.mongo_lane, self.redis_lane):
            closing.callback(opened.close)
        self.memories = (MongoUserMemory(self.db), RedisUserMemory(self.keys))

    def live(self, *user_ids: int) -> None:
        """Have users in both stores, with a view and a session each."""
        for memory in self.memories:
            memory.remember(user_ids)
        for user_id in user_ids:
            view = RecordViewRequest(user_id=user_id, content_id=1, title="t", kind=Content.MOVIE)
            session = CreateSessionRequest(user_id=user_id, device=Session.TV)
            assert None not in self.mongo_lane.apply([deliver(view)], set())
            assert None not in self.redis_lane.apply([deliver(session)], set())


@pytest.fixture
def inspectors(running: EngineSet, users: Users) -> Iterator[Inspectors]:
    """Stores without anything in them."""
    del users
    with ExitStack() as closing:
        yield Inspectors(running, closing)


def test_a_store_knows_what_it_has_applied(inspectors: Inspectors) -> None:
    """And nothing else."""
    inspectors.live(ANA)
    views = [
        deliver(RecordViewRequest(user_id=ANA, content_id=n, title="t", kind=Content.MOVIE)) for n in range(1, MANY)
    ]
    contents = [deliver(CacheContentRequest(content_id=n, title="t", kind=Content.MOVIE)) for n in range(1, MANY)]
    inspectors.mongo_lane.apply(views, set())
    inspectors.redis_lane.apply(contents, set())
    in_mongodb, in_redis = ([d.correlation_id for d in batch] for batch in (views, contents))
    others = [new_correlation_id() for _ in range(MANY)]
    assert inspectors.mongodb.applied([*others, *in_mongodb, *in_redis]) == set(in_mongodb)
    assert inspectors.redis.applied([*others, *in_mongodb, *in_redis]) == set(in_redis)
    assert inspectors.postgresql.applied([*others, *in_mongodb, *in_redis]) == set()


def test_a_store_names_everybody_whom_it_has_something_of(inspectors: Inspectors) -> None:
    """Whom it remembers too, but not those of whom it remembers that they were erased."""
    inspectors.live(ANA, GONE)
    for memory in inspectors.memories:
        memory.remember([BIA])
        memory.erase({ERASED: Erasure(TOPIC_ID, 0, 5)})
    assert set(inspectors.mongodb.users()) == {ANA, BIA, GONE}
    assert set(inspectors.redis.users()) == {ANA, BIA, GONE}
    assert inspectors.postgresql.existing([ANA, BIA, GONE, ERASED]) == {ANA, BIA}


def test_what_a_deleted_view_leaves_is_nobodys(inspectors: Inspectors) -> None:
    """It names no user any more, and hides none."""
    inspectors.live(ANA, GONE)
    view = deliver(RecordViewRequest(user_id=ANA, content_id=2, title="t", kind=Content.MOVIE))
    deletion = deliver(DeleteViewRequest(user_id=ANA, view_id=view.correlation_id))
    for one in (view, deletion):
        assert None not in inspectors.mongo_lane.apply([one], set())
    assert set(inspectors.mongodb.users()) == {ANA, GONE}


def test_what_is_left_of_a_user_goes_and_nothing_else(inspectors: Inspectors) -> None:
    """Sessions go with their index; what is remembered of an erased user stays."""
    inspectors.live(ANA, GONE)
    for memory in inspectors.memories:
        memory.erase({ERASED: Erasure(TOPIC_ID, 0, 5)})
    both = (inspectors.mongodb, inspectors.redis)
    orphans = find_orphans(inspectors.postgresql, both, lambda: None)
    assert orphans == [Orphans("MONGODB", [GONE]), Orphans("REDIS", [GONE])]
    assert erase_orphans(inspectors.postgresql, both, orphans) == 2
    assert find_orphans(inspectors.postgresql, both, lambda: None) == []
    assert [document["user_id"] for document in inspectors.db["historico_visualizacao"].find()] == [Int64(ANA)]
    assert len(list(inspectors.keys.scan_iter("sessao:*"))) == len(list(inspectors.keys.scan_iter("sessoes:*"))) == 1
    for memory in inspectors.memories:
        assert memory.read([ANA, GONE, ERASED]) == {ANA: None, ERASED: Erasure(TOPIC_ID, 0, 5)}


def test_a_deletion_that_is_on_its_way_is_no_drift(inspectors: Inspectors) -> None:
    """PostgreSQL's lane was faster: once the others have caught up, nothing is left."""
    inspectors.live(GONE)
    looks: list[int] = []

    def lanes_catch_up() -> None:
        looks.append(1)
        if len(looks) == 2:
            inspectors.mongodb.erase([GONE])

    assert find_orphans(inspectors.postgresql, [inspectors.mongodb], lanes_catch_up) == []
    assert len(looks) == 2


def test_a_deletion_that_is_parked_is_no_drift(inspectors: Inspectors) -> None:
    """What a store has of the user is erased when the deletion is redriven, and by nobody before that."""
    inspectors.live(GONE)
    deletion = deliver(DeleteUserRequest(user_id=GONE))
    for lane in (inspectors.mongo_lane, inspectors.redis_lane):
        given_up(lane, deletion)
    both = (inspectors.mongodb, inspectors.redis)
    assert [one.parked_users() for one in both] == [{GONE}, {GONE}]
    assert find_orphans(inspectors.postgresql, both, lambda: None) == []
    for lane in (inspectors.mongo_lane, inspectors.redis_lane):
        lane.discard(lane.parked(deletion.key)[0])
    assert find_orphans(inspectors.postgresql, both, lambda: None) == [
        Orphans("MONGODB", [GONE]),
        Orphans("REDIS", [GONE]),
    ]


def test_who_is_a_user_by_now_is_not_erased(inspectors: Inspectors) -> None:
    """Somebody was created between the look and the repair."""
    inspectors.live(ANA)
    assert erase_orphans(inspectors.postgresql, [inspectors.mongodb], [Orphans("MONGODB", [ANA])]) == 0
    assert set(inspectors.mongodb.users()) == {ANA}


def test_a_store_that_is_down_is_told(running: EngineSet) -> None:
    """By its name, and the reason that lanes have for it."""
    settings = postgres_settings(running)
    mongodb = MongoInspector(MongoSettings(url=f"mongodb://127.0.0.1:{running.context.ports.mongodb}/streaming_db"))
    redis = RedisInspector(RedisSettings(url=running.endpoints["redis"]))
    running.stop_all()
    asked: dict[str, Callable[[], object]] = {
        "POSTGRESQL": lambda: PostgresInspector(settings),
        "MONGODB": lambda: list(mongodb.users()),
        "REDIS": lambda: redis.applied(["x"]),
    }
    for name, ask in asked.items():
        with pytest.raises(PolystreamError, match=f"^{name} does not answer") as told:
            ask()
        assert told.value.reason is Reason.STORE_UNAVAILABLE
    mongodb.close()
    redis.close()
