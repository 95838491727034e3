"""Any relational store killed, stopped and back, under the lane's adapter: every command once, every error its kind."""

import threading
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

import psycopg
import pytest
from google.type.money_pb2 import Money
from polystream.v1.payments_pb2 import CancelPaymentRequest, CreatePaymentRequest, Payment
from polystream.v1.preferences_pb2 import UpdatePreferencesRequest
from polystream.v1.subscriptions_pb2 import CancelSubscriptionRequest, CreateSubscriptionRequest, Subscription
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest

from gateway.queries.stores import Stores
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import MongoSettings, RedisSettings
from processor.handlers import AnyHandler, find_handlers
from processor.migrations.runner import load_migrations, migrate
from processor.model import Delivery
from processor.stores.postgresql import PostgresStore
from processor.user_lookup import PostgresUsers
from tests.support.closing import close_stores
from tests.support.lanes import CATALOG, delivery
from tests.support.people import person
from tests.support.store_engines import StoreServer
from tests.support.store_load import Load, apply_side_by_side, is_unavailable
from tests.support.stores import apply, ending, substance
from tests.support.waiting import eventually

_USER_IDS: Final = count(1)
_TIMEOUT_S: Final = 30.0
_NOTHING: Final = frozenset[str]()
_HANDLERS: Final = find_handlers(CATALOG, "POSTGRESQL")


@pytest.fixture(autouse=True)
def _migrated(own_relational: StoreServer) -> None:
    migrate(own_relational.url, load_migrations())


@pytest.fixture
def store(own_relational: StoreServer) -> Iterator[PostgresStore]:
    """The lane's store."""
    opened = _open(own_relational)
    yield opened
    opened.close()


def _open(server: StoreServer, **handlers: AnyHandler) -> PostgresStore:
    topic_id = new_correlation_id()
    return PostgresStore(server.postgres, {**_HANDLERS, **handlers}, lambda: topic_id, inbox_ttl_s=3600)


def _create() -> Delivery:
    return delivery(CreateUserRequest(user_id=next(_USER_IDS), **person()))


def _count(server: StoreServer, table: str, batch: Sequence[Delivery]) -> int:
    """Count a table's rows of the users of a batch; of the inbox, those of its commands."""
    return sum(_there(server, table, batch))


def _there(server: StoreServer, table: str, batch: Sequence[Delivery]) -> list[int]:
    """Return for each delivery how many rows of its user, in the inbox of itself, there are."""
    column = "correlation_id" if table == "inbox" else "user_id"
    keys = [d.correlation_id if table == "inbox" else d.key.decode() for d in batch]
    sql = f"SELECT {column}::text, count(*) FROM {table} WHERE {column}::text = ANY(%s) GROUP BY {column}"
    with psycopg.connect(server.url) as connection:
        found: dict[str, int] = dict(connection.execute(sql, (keys,)).fetchall())
    return [found.get(key, 0) for key in keys]


def test_what_was_committed_is_on_the_disk(own_relational: StoreServer) -> None:
    """The settings that an acknowledgement rests on, as a session of the platform's has them."""
    with psycopg.connect(own_relational.url) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


def test_every_command_delivered_again_gets_its_first_answer(own_relational: StoreServer, store: PostgresStore) -> None:
    """After a kill of the server too: the receipts are the same but for their mark, and the rows are as they were."""
    user_id = next(_USER_IDS)
    fields = person()
    batch = [
        delivery(CreateUserRequest(user_id=user_id, **fields)),
        delivery(CreateUserRequest(user_id=user_id, **person())),
        delivery(UpdateUserRequest(user_id=user_id, name="Ação")),
        delivery(CreateSubscriptionRequest(user_id=user_id, plan=Subscription.Plan.PREMIUM, months=3)),
        delivery(CancelSubscriptionRequest(user_id=user_id, subscription_id=2**53 - 1)),
        delivery(
            CreatePaymentRequest(
                user_id=user_id,
                amount=Money(currency_code="BRL", units=19, nanos=990_000_000),
                method=Payment.Method.PIX,
            )
        ),
        delivery(CancelPaymentRequest(user_id=user_id, payment_id=2**53 - 1)),
        delivery(UpdatePreferencesRequest(user_id=user_id, language="en")),
        delivery(DeleteUserRequest(user_id=next(_USER_IDS))),
    ]
    first = apply(store, *batch)
    assert [ending(receipt) for receipt in first] == [
        *("ok", "USER_ALREADY_EXISTS", "ok", "ok", "SUBSCRIPTION_NOT_FOUND", "ok", "PAYMENT_NOT_FOUND", "ok"),
        "USER_NOT_FOUND",
    ]
    own_relational.kill()
    own_relational.start()
    again = eventually(lambda: apply(store, *batch), _TIMEOUT_S)
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert all(receipt.duplicate for receipt in again)
    assert [
        _count(own_relational, t, batch[:1]) for t in ("usuarios", "assinaturas", "pagamentos", "preferencias")
    ] == [*(1, 1, 1, 1)]


def test_a_kill_between_effect_and_answer_leaves_neither(own_relational: StoreServer) -> None:
    """The rows of a batch whose transaction had not ended are gone, and the repetition makes them once."""
    broken = threading.Event()

    def create_then_die(batch: Sequence[Delivery], cursor: psycopg.Cursor[Any]) -> Any:
        outcomes = _HANDLERS["CreateUser"](batch, cursor)
        if not broken.is_set():
            broken.set()
            own_relational.kill()
        return outcomes

    store = _open(own_relational, CreateUser=create_then_die)
    batch = [_create() for _ in range(20)]
    is_unavailable(lambda: store.apply(batch, _NOTHING))
    own_relational.start()
    assert [_count(own_relational, table, batch) for table in ("usuarios", "inbox")] == [0, 0]
    receipts = apply(store, *batch)
    store.close()
    assert {(ending(receipt), receipt.duplicate) for receipt in receipts} == {("ok", False)}
    assert [_count(own_relational, table, batch) for table in ("usuarios", "inbox")] == [20, 20]


def test_kills_under_load_lose_nothing_and_double_nothing(own_relational: StoreServer) -> None:
    """Three lanes write while the server dies twice: what was answered stands, what was not is whole or not there."""
    load = Load(lambda: _open(own_relational), lambda: [_create() for _ in range(20)])
    with load.running():
        for _ in range(2):
            load.wait_answers(200)
            own_relational.kill()
            own_relational.start()
        load.wait_answers(200)
    everything = [delivery for batch in load.sent for delivery in batch]
    rows = {table: _there(own_relational, table, everything) for table in ("usuarios", "inbox")}
    assert rows["usuarios"] == rows["inbox"]
    there = {d.correlation_id for d, entries in zip(everything, rows["inbox"], strict=True) if entries}
    assert all(len({d.correlation_id in there for d in batch}) == 1 for batch in load.sent)
    assert load.answered.keys() <= there
    store = _open(own_relational)
    for receipt in apply(store, *everything):
        assert receipt.duplicate == (receipt.correlation_id in there)
        if receipt.correlation_id in load.answered:
            assert substance(receipt) == substance(load.answered[receipt.correlation_id])
    store.close()
    assert set(_there(own_relational, "usuarios", everything)) == {1}


def test_two_lanes_with_the_same_batch(own_relational: StoreServer) -> None:
    """As when a partition moves: both answer the same, one of them as a duplicate, command by command."""
    stores = [_open(own_relational) for _ in range(2)]
    for step in (1, 1, 1, 1, 1, -1):  # in the end in contrary orders: a deadlock
        batch = [_create() for _ in range(20)]
        one, two = apply_side_by_side(stores, [batch, batch[::step]])
        for first, second in zip(one, two[::step], strict=True):
            assert substance(first) == substance(second)
            assert {first.duplicate, second.duplicate} == {False, True}
        assert _count(own_relational, "usuarios", batch) == len(batch)
    for store in stores:
        store.close()


def test_every_absence_is_told_as_one(own_relational: StoreServer, store: PostgresStore) -> None:
    """Ended by an administrator, stopped, down, recovering: all of it is waited for, and the next attempt succeeds."""
    apply(store, _create())
    connection = store._connection
    assert connection is not None
    with psycopg.connect(own_relational.url) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    is_unavailable(store.ping)
    apply(store, _create())

    own_relational.stop()
    is_unavailable(store.ping)
    is_unavailable(store.ping)
    assert PostgresUsers(own_relational.postgres).ask([1], "topic") is None
    own_relational.start()
    apply(store, _create())

    own_relational.kill()
    is_unavailable(store.ping)
    own_relational.engines._spawn(own_relational.kind)

    def answers() -> bool:
        try:
            store.ping()
        except PolystreamError as error:
            assert error.reason is Reason.STORE_UNAVAILABLE  # noqa: PT017 - asked again until it answers
            return False
        return True

    eventually(answers, _TIMEOUT_S, interval_s=0.001)
    own_relational.engines._wait(own_relational.kind)


async def test_queries_get_over_a_kill(own_relational: StoreServer) -> None:
    """The first one after the server is back is answered, though the pool holds connections from before."""
    stores = Stores(own_relational.postgres, MongoSettings(), RedisSettings())
    assert await stores.rows("SELECT %s::bigint", (2**63 - 1,)) == [(2**63 - 1,)]
    own_relational.kill()
    with pytest.raises(PolystreamError) as raised:
        await stores.rows("SELECT 1", ())
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    own_relational.start()
    assert await stores.rows("SELECT 1", ()) == [(1,)]
    await close_stores(stores)
