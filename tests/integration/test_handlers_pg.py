"""The PostgreSQL handlers, each through its store on a real server: command in, rows and answer out."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import psycopg.sql
import pytest
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.payments_pb2 import CancelPaymentRequest, CreatePaymentRequest, Payment
from polystream.v1.preferences_pb2 import Preferences, UpdatePreferencesRequest
from polystream.v1.subscriptions_pb2 import CancelSubscriptionRequest, CreateSubscriptionRequest, Subscription
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest, User

from mesh.ids import derived_user_id, new_correlation_id
from processor.handlers import find_handlers
from processor.migrations.runner import load_migrations, migrate
from processor.stores.postgresql import PostgresStore
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG, delivery
from tests.support.people import cpf, person
from tests.support.platform import EngineSet
from tests.support.stores import receipts

_USER_IDS = itertools.count(1)
SUCCEEDED, FAILED = Operation.SUCCEEDED, Operation.FAILED
REAL_ENOUGH = timedelta(minutes=1)


@pytest.fixture(scope="module")
def engine(lease: Lease) -> EngineSet:
    """Run PostgreSQL, with the platform's tables."""
    running = lease("postgresql")
    migrate(running.endpoints["postgresql"], load_migrations())
    return running


@pytest.fixture
def db(engine: EngineSet) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection to look at the rows with."""
    with psycopg.connect(engine.endpoints["postgresql"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def store(engine: EngineSet) -> Iterator[PostgresStore]:
    """Return the lane's store."""
    settings = engine.context.postgres.model_copy(update={"port": engine.context.ports.postgresql})
    opened = PostgresStore(settings, find_handlers(CATALOG, "POSTGRESQL"), lambda: "topic", inbox_ttl_s=3600)
    yield opened
    opened.close()


def apply(store: PostgresStore, *requests: Message) -> list[CommandReceipt]:
    """Apply requests as one batch."""
    return receipts(store.apply([delivery(request) for request in requests], frozenset()))


def new_user(**fields: Any) -> CreateUserRequest:
    """Return a request for a user that is not there."""
    return CreateUserRequest(**({"user_id": next(_USER_IDS)} | person() | fields))


def existing_user(store: PostgresStore) -> CreateUserRequest:
    """Create a user, and return the request that did."""
    request = new_user()
    assert outcomes(apply(store, request)) == ["SUCCEEDED"]
    return request


def outcomes(receipts: Sequence[CommandReceipt]) -> list[str]:
    """Return SUCCEEDED, or the reason with the field at fault."""
    return [
        "SUCCEEDED" if receipt.state == SUCCEEDED else f"{receipt.error.reason} {receipt.error.field}"
        for receipt in receipts
    ]


def result(receipt: CommandReceipt, message: Message) -> Any:
    """Return a receipt's result, unpacked into the message."""
    assert receipt.result.type_url == f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    message.ParseFromString(receipt.result.value)
    return message


def test_create_user_writes_the_inherited_row(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """The CPF is stored as digits; the result says identifier and time, and nothing personal."""
    digits = cpf()
    request = new_user(cpf=f"{digits[:3]}.{digits[3:6]}.{digits[6:9]}-{digits[9:]}")
    (receipt,) = apply(store, request)
    row = db.execute(
        "SELECT nome, email, cpf, data_criacao FROM usuarios WHERE user_id = %s", (request.user_id,)
    ).fetchone()
    assert row is not None
    assert row[:3] == (request.name, request.email, digits)
    user = result(receipt, User())
    assert user.create_time.ToDatetime(UTC) == row[3]
    assert user == User(user_id=request.user_id, create_time=user.create_time)
    assert receipt.user_id == request.user_id
    for personal in (request.name, request.email, digits):
        assert personal.encode() not in receipt.SerializeToString()


def test_create_user_without_an_identifier_gets_one_from_the_correlation_id(store: PostgresStore) -> None:
    """So that a producer other than the gateway gets the same user for every delivery."""
    correlation_id = new_correlation_id()
    (receipt,) = receipts(store.apply([delivery(new_user(user_id=0), correlation_id)], frozenset()))
    assert receipt.user_id == result(receipt, User()).user_id == derived_user_id(correlation_id)


def test_create_user_refuses_what_somebody_has(store: PostgresStore) -> None:
    """Identifier, e-mail address (whatever its case) and CPF are unique; the field at fault is named."""
    there = existing_user(store)
    assert outcomes(
        apply(
            store,
            new_user(user_id=there.user_id),
            new_user(email=there.email.upper()),
            new_user(cpf=there.cpf),
            new_user(),
        )
    ) == ["USER_ALREADY_EXISTS user_id", "EMAIL_ALREADY_EXISTS email", "CPF_ALREADY_EXISTS cpf", "SUCCEEDED"]


def test_create_user_refuses_the_second_of_two_that_collide_in_a_batch(store: PostgresStore) -> None:
    """The first one in the batch's order wins, and a refused one stands in nobody's way."""
    first = new_user()
    second = new_user(email=first.email)
    third = new_user(cpf=second.cpf)
    assert outcomes(apply(store, first, second, third)) == ["SUCCEEDED", "EMAIL_ALREADY_EXISTS email", "SUCCEEDED"]


def test_update_user_changes_what_is_set(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Fields that are not set stay as they were."""
    one, other = existing_user(store), existing_user(store)
    email = person()["email"]
    receipts = apply(
        store,
        UpdateUserRequest(user_id=one.user_id, name="Outro nome"),
        UpdateUserRequest(user_id=other.user_id, email=email),
    )
    assert outcomes(receipts) == ["SUCCEEDED", "SUCCEEDED"]
    rows = db.execute(
        "SELECT nome, email FROM usuarios WHERE user_id = ANY(%s) ORDER BY user_id", ([one.user_id, other.user_id],)
    ).fetchall()
    assert rows == [("Outro nome", one.email), (other.name, email)]
    assert email.encode() not in receipts[1].SerializeToString()


def test_update_user_refuses_an_email_that_somebody_has(store: PostgresStore) -> None:
    """Somebody else, that is: one's own address in other letters is no collision. Of two in a batch, one gets it."""
    one, other, third = existing_user(store), existing_user(store), existing_user(store)
    email = person()["email"]
    assert outcomes(
        apply(
            store,
            UpdateUserRequest(user_id=one.user_id, email=one.email.upper()),
            UpdateUserRequest(user_id=other.user_id, email=email),
            UpdateUserRequest(user_id=third.user_id, email=email.upper()),
        )
    ) == ["SUCCEEDED", "SUCCEEDED", "EMAIL_ALREADY_EXISTS email"]
    assert outcomes(
        apply(
            store,
            UpdateUserRequest(user_id=third.user_id, email=email),
            UpdateUserRequest(user_id=10**15, name="Ninguém"),
        )
    ) == ["EMAIL_ALREADY_EXISTS email", "USER_NOT_FOUND user_id"]


def test_delete_user_takes_everything_that_is_theirs(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Subscriptions, payments and preferences go too, and the same person may come back."""
    user = existing_user(store)
    apply(
        store,
        CreateSubscriptionRequest(user_id=user.user_id, plan=Subscription.BASIC),
        CreatePaymentRequest(
            user_id=user.user_id, amount=Money(currency_code="BRL", units=10), method=Payment.Method.PIX
        ),
        UpdatePreferencesRequest(user_id=user.user_id, language="en"),
    )
    assert outcomes(apply(store, DeleteUserRequest(user_id=user.user_id))) == ["SUCCEEDED"]
    for table in ("usuarios", "assinaturas", "pagamentos", "preferencias"):
        query = psycopg.sql.SQL("SELECT count(*) FROM {} WHERE user_id = %s").format(psycopg.sql.Identifier(table))
        assert db.execute(query, (user.user_id,)).fetchone() == (0,)
    assert outcomes(apply(store, DeleteUserRequest(user_id=user.user_id), user)) == [
        "USER_NOT_FOUND user_id",
        "SUCCEEDED",
    ]


def test_create_subscription_runs_for_its_months(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """One month where none is said; the plan is in the table's own words."""
    user = existing_user(store)
    (receipt,) = apply(store, CreateSubscriptionRequest(user_id=user.user_id, plan=Subscription.STANDARD))
    row = db.execute(
        "SELECT id, plano, inicio, fim, status, fim = inicio + interval '1 month' FROM assinaturas WHERE user_id = %s",
        (user.user_id,),
    ).fetchone()
    assert row is not None
    assert (row[1], row[4], row[5]) == ("padrão", "ativa", True)
    subscription = result(receipt, Subscription())
    assert (subscription.subscription_id, subscription.plan) == (row[0], Subscription.STANDARD)
    assert subscription.state == Subscription.ACTIVE
    assert subscription.start_time.ToDatetime(UTC) == row[2]
    assert subscription.end_time.ToDatetime(UTC) == row[3]
    assert abs(datetime.now(UTC) - row[2]) < REAL_ENOUGH


def test_a_new_subscription_ends_the_active_one(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Also when both are in one batch: they have the same key, and are applied in their order."""
    user = existing_user(store)
    apply(
        store,
        CreateSubscriptionRequest(user_id=user.user_id, plan=Subscription.BASIC, months=3),
        CreateSubscriptionRequest(user_id=user.user_id, plan=Subscription.PREMIUM, months=12),
    )
    rows = db.execute(
        "SELECT plano, status, fim <= now() FROM assinaturas WHERE user_id = %s ORDER BY id", (user.user_id,)
    ).fetchall()
    assert rows == [("básico", "cancelada", True), ("premium", "ativa", False)]


def test_cancel_subscription_ends_it_once(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Unknown ones, other people's, and those that have ended are refused."""
    user, other = existing_user(store), existing_user(store)
    created = apply(store, CreateSubscriptionRequest(user_id=user.user_id, plan=Subscription.BASIC))
    subscription_id = result(created[0], Subscription()).subscription_id
    cancel = CancelSubscriptionRequest(user_id=user.user_id, subscription_id=subscription_id)
    receipts = apply(
        store,
        cancel,
        cancel,
        CancelSubscriptionRequest(user_id=other.user_id, subscription_id=subscription_id),
        CancelSubscriptionRequest(user_id=10**15, subscription_id=subscription_id),
    )
    assert outcomes(receipts) == [
        "SUCCEEDED",
        "SUBSCRIPTION_NOT_ACTIVE subscription_id",
        "SUBSCRIPTION_NOT_FOUND subscription_id",
        "USER_NOT_FOUND user_id",
    ]
    canceled = result(receipts[0], Subscription())
    assert (canceled.plan, canceled.state) == (Subscription.BASIC, Subscription.CANCELED)
    assert db.execute("SELECT status FROM assinaturas WHERE id = %s", (subscription_id,)).fetchone() == ("cancelada",)


def test_a_subscription_past_its_term_is_not_in_force(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """It can't be cancelled, it ends as expired when another begins, and the lane marks it in time."""
    one, other = existing_user(store), existing_user(store)
    created = apply(
        store,
        CreateSubscriptionRequest(user_id=one.user_id, plan=Subscription.BASIC),
        CreateSubscriptionRequest(user_id=other.user_id, plan=Subscription.BASIC),
    )
    ids = [result(receipt, Subscription()).subscription_id for receipt in created]
    db.execute("UPDATE assinaturas SET inicio = '2020-01-01', fim = '2020-02-01' WHERE id = ANY(%s)", (ids,))
    receipts = apply(
        store,
        CancelSubscriptionRequest(user_id=one.user_id, subscription_id=ids[0]),
        CreateSubscriptionRequest(user_id=one.user_id, plan=Subscription.BASIC),
    )
    assert outcomes(receipts) == ["SUBSCRIPTION_NOT_ACTIVE subscription_id", "SUCCEEDED"]
    tidy_now(store)
    rows = db.execute("SELECT status, fim FROM assinaturas WHERE id = ANY(%s)", (ids,)).fetchall()
    assert [(status, fim.year) for status, fim in rows] == [("expirada", 2020), ("expirada", 2020)]


@pytest.mark.parametrize(
    ("amount", "valor"),
    [
        (Money(currency_code="BRL", units=49, nanos=900_000_000), Decimal("49.90")),
        (Money(currency_code="BRL", units=1_000_000), Decimal("1000000.00")),
        (Money(currency_code="BRL", nanos=10_000_000), Decimal("0.01")),
    ],
)
def test_create_payment_keeps_the_cents(
    store: PostgresStore, db: psycopg.Connection[Any], amount: Money, valor: Decimal
) -> None:
    """The amount is exact in the table, and comes back exact when the payment is taken back."""
    user = existing_user(store)
    (receipt,) = apply(
        store, CreatePaymentRequest(user_id=user.user_id, amount=amount, method=Payment.Method.CREDIT_CARD)
    )
    payment = result(receipt, Payment())
    assert (payment.amount, payment.state) == (amount, Payment.State.APPROVED)
    row = db.execute(
        "SELECT valor, forma_pagamento, status FROM pagamentos WHERE id = %s", (payment.payment_id,)
    ).fetchone()
    assert row == (valor, "cartão de crédito", "aprovado")
    (receipt,) = apply(store, CancelPaymentRequest(user_id=user.user_id, payment_id=payment.payment_id))
    canceled = result(receipt, Payment())
    assert (canceled.amount, canceled.method) == (amount, Payment.Method.CREDIT_CARD)
    assert canceled.state == Payment.State.CANCELED
    assert canceled.pay_time == payment.pay_time
    assert db.execute("SELECT status FROM pagamentos WHERE id = %s", (payment.payment_id,)).fetchone() == ("estornado",)


def test_payments_of_nobody_and_taken_back_ones_are_refused(store: PostgresStore) -> None:
    """A payment is taken back once, by its own user."""
    user, other = existing_user(store), existing_user(store)
    amount = Money(currency_code="BRL", units=10)
    created = apply(
        store,
        CreatePaymentRequest(user_id=user.user_id, amount=amount, method=Payment.Method.PIX),
        CreatePaymentRequest(user_id=10**15, amount=amount, method=Payment.Method.PIX),
    )
    assert outcomes(created) == ["SUCCEEDED", "USER_NOT_FOUND user_id"]
    payment_id = result(created[0], Payment()).payment_id
    cancel = CancelPaymentRequest(user_id=user.user_id, payment_id=payment_id)
    assert outcomes(
        apply(
            store,
            cancel,
            cancel,
            CancelPaymentRequest(user_id=other.user_id, payment_id=payment_id),
            CancelPaymentRequest(user_id=10**15, payment_id=payment_id),
        )
    ) == [
        "SUCCEEDED",
        "PAYMENT_NOT_APPROVED payment_id",
        "PAYMENT_NOT_FOUND payment_id",
        "USER_NOT_FOUND user_id",
    ]


def test_update_preferences_sets_what_is_set(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """The first time, the rest gets its defaults; later, it stays as it is."""
    user = existing_user(store)
    first, second, nobody = apply(
        store,
        UpdatePreferencesRequest(user_id=user.user_id, theme=Preferences.Theme.DARK),
        UpdatePreferencesRequest(user_id=user.user_id, language="en-GB", notifications=False),
        UpdatePreferencesRequest(user_id=10**15, language="en"),
    )
    made = result(first, Preferences())
    assert (made.language, made.notifications, made.theme) == ("pt-BR", True, Preferences.Theme.DARK)
    changed = result(second, Preferences())
    assert (changed.language, changed.notifications, changed.theme) == ("en-GB", False, Preferences.Theme.DARK)
    assert outcomes([nobody]) == ["USER_NOT_FOUND user_id"]
    rows = db.execute(
        "SELECT idioma, notificacoes, tema FROM preferencias WHERE user_id = %s", (user.user_id,)
    ).fetchall()
    assert rows == [("en-GB", False, "escuro")]


def test_commands_of_one_user_keep_their_order_in_a_batch(store: PostgresStore) -> None:
    """Create, use, delete, use again, create again: each meets what the ones before it have left."""
    user = new_user()
    preferences = UpdatePreferencesRequest(user_id=user.user_id, language="en")
    delete = DeleteUserRequest(user_id=user.user_id)
    assert outcomes(apply(store, preferences, user, preferences, delete, preferences, user, preferences)) == [
        "USER_NOT_FOUND user_id",
        "SUCCEEDED",
        "SUCCEEDED",
        "SUCCEEDED",
        "USER_NOT_FOUND user_id",
        "SUCCEEDED",
        "SUCCEEDED",
    ]


def tidy_now(store: PostgresStore) -> None:
    """Have the store do now what it does every few seconds."""
    store._tidying.next_step_s = 0.0
    store.record_positions({})
