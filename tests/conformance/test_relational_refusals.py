"""Any relational store that refuses: what may pass is waited for with its cause, what is in the data is not."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any, Final, LiteralString

import psycopg
import pytest
from google.type.money_pb2 import Money
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment
from polystream.v1.users_pb2 import CreateUserRequest
from pydantic import SecretStr

from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import PostgresSettings
from processor.handlers import AnyHandler, find_handlers
from processor.migrations.runner import load_migrations, migrate
from processor.model import Delivery
from processor.stores.postgresql import PostgresStore
from tests.support.lanes import CATALOG, delivery
from tests.support.people import person
from tests.support.store_engines import StoreServer
from tests.support.stores import apply, ending

_USER_IDS: Final = count(1)
_HANDLERS: Final = find_handlers(CATALOG, "POSTGRESQL")

Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(own_relational: StoreServer) -> Iterator[Admin]:
    """The owner of the tables, who changes them below the lane, in a session that is left alone."""
    migrate(own_relational.url, load_migrations())
    with psycopg.connect(own_relational.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def settings(own_relational: StoreServer, admin: Admin) -> PostgresSettings:
    """The lane's settings."""
    del admin
    return own_relational.postgres


def _open(settings: PostgresSettings, **handlers: AnyHandler) -> PostgresStore:
    topic_id = new_correlation_id()
    return PostgresStore(settings, {**_HANDLERS, **handlers}, lambda: topic_id, inbox_ttl_s=3600)


@pytest.fixture
def store(settings: PostgresSettings) -> Iterator[PostgresStore]:
    """The lane's store."""
    opened = _open(settings)
    yield opened
    opened.close()


def _create() -> Delivery:
    return delivery(CreateUserRequest(user_id=next(_USER_IDS), **person()))


def _end_sessions(admin: Admin) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = user"
    )


def _run(*statements: LiteralString) -> Callable[[Admin], None]:
    def run(admin: Admin) -> None:
        for statement in statements:
            admin.execute(statement)

    return run


# By what a lane is told: what makes the server refuse, and what ends it.
_REFUSALS: Final[dict[str, tuple[Callable[[Admin], None], Callable[[Admin], None]]]] = {
    "42P01": (_run("ALTER TABLE usuarios RENAME TO away"), _run("ALTER TABLE away RENAME TO usuarios")),
    "42703": (
        _run("ALTER TABLE usuarios RENAME COLUMN nome TO away"),
        _run("ALTER TABLE usuarios RENAME COLUMN away TO nome"),
    ),
    "42501": (_run("REVOKE INSERT ON usuarios FROM CURRENT_USER"), _run("GRANT INSERT ON usuarios TO CURRENT_USER")),
    "25006": (
        _run("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on"),
        _run("ALTER ROLE CURRENT_USER RESET default_transaction_read_only"),
    ),
}


@pytest.mark.parametrize("state", _REFUSALS)
def test_what_may_pass_is_waited_for(store: PostgresStore, admin: Admin, state: str) -> None:
    """The error says why, and the same batch is applied once when the cause is gone."""
    refuse, allow = _REFUSALS[state]
    apply(store, _create())
    batch = [_create(), _create()]
    refuse(admin)
    _end_sessions(admin)
    try:
        causes = []
        for _ in range(2):  # the first one may meet its dead connection
            with pytest.raises(PolystreamError) as raised:
                store.apply(batch, frozenset())
            assert raised.value.reason is Reason.STORE_UNAVAILABLE
            assert raised.value.metadata["store"] == "POSTGRESQL"
            causes.append(raised.value.metadata["error"])
        assert causes[-1].endswith(f"({state})")
    finally:
        allow(admin)
        _end_sessions(admin)
    with suppress(PolystreamError):  # likewise
        store.ping()
    assert [ending(receipt) for receipt in apply(store, *batch)] == ["ok", "ok"]


def test_a_lock_is_waited_for_no_longer_than_its_bound(settings: PostgresSettings, admin: Admin) -> None:
    """A lane that meets one says so, instead of hanging."""
    store = _open(settings)
    batch = [_create()]
    store.ping()
    assert store._connection is not None
    store._connection.execute("SET lock_timeout = '100ms'")
    with admin.transaction():
        admin.execute("LOCK TABLE usuarios IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(PolystreamError) as raised:
            store.apply(batch, frozenset())
    assert raised.value.metadata["error"].endswith("(55P03)")
    assert ending(apply(store, *batch)[0]) == "ok"
    store.close()


@pytest.mark.parametrize(
    ("wrong", "state"), [({"db": "nowhere"}, "3D000"), ({"password": SecretStr("not-this-one")}, "28P01")]
)
def test_a_server_that_lets_nobody_in_is_waited_for(
    settings: PostgresSettings, wrong: dict[str, Any], state: str
) -> None:
    """A database may be made yet, and a password set; neither is told."""
    store = _open(settings.model_copy(update=wrong))
    with pytest.raises(PolystreamError) as raised:
        store.ping()
    cause = raised.value.metadata["error"]
    assert cause.endswith(f"({state})")
    assert "nowhere" not in cause


@pytest.mark.parametrize("state", ["23514", "22003", "P0001"])
def test_a_mistake_in_the_data_is_the_commands_own(store: PostgresStore, admin: Admin, state: str) -> None:
    """It is raised as it is, for the lane to set the command apart, and is never waited for."""
    user = _create()
    apply(store, user)
    user_id = int(user.key)
    statements: dict[str, tuple[LiteralString, LiteralString]] = {
        "23514": (
            "ALTER TABLE pagamentos ADD CONSTRAINT of_the_test CHECK (valor < 5) NOT VALID",
            "ALTER TABLE pagamentos DROP CONSTRAINT of_the_test",
        )
    }
    raising: LiteralString = "numeric_value_out_of_range" if state == "22003" else "raise_exception"
    before, after = statements.get(
        state,
        (
            f"""CREATE FUNCTION of_the_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE {raising}; END $$;
            CREATE TRIGGER of_the_test BEFORE INSERT ON pagamentos FOR EACH ROW EXECUTE FUNCTION of_the_test()""",
            "DROP FUNCTION of_the_test CASCADE",
        ),
    )
    payment = CreatePaymentRequest(
        user_id=user_id, amount=Money(currency_code="BRL", units=19), method=Payment.Method.PIX
    )
    admin.execute(before)
    try:
        with pytest.raises(psycopg.Error) as raised:
            store.apply([delivery(payment)], frozenset())
        assert raised.value.sqlstate == state
    finally:
        admin.execute(after)
    assert ending(apply(store, _create())[0]) == "ok", "the connection goes on"


@pytest.mark.parametrize(("condition", "state"), [("serialization_failure", "40001"), ("deadlock_detected", "40P01")])
def test_a_conflict_that_no_repetition_ends_is_waited_for(
    settings: PostgresSettings, condition: LiteralString, state: str
) -> None:
    """It is repeated at once a few times; after that it is no fault of the command either."""
    tries: list[int] = []

    def conflicting(batch: Any, cursor: Any) -> Any:
        tries.append(len(batch))
        cursor.execute(f"DO $$ BEGIN RAISE {condition}; END $$")

    store = _open(settings, CreateUser=conflicting)
    with pytest.raises(PolystreamError) as raised:
        store.apply([_create()], frozenset())
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    assert raised.value.metadata["error"].endswith(f"({state})")
    assert 2 < len(tries) < 10
    store.close()
