"""The queries as a whole, and their page tokens."""

import base64
import inspect
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_proto_pb2
from polystream.monitor.v1.part_health_pb2 import ListPartHealthResponse
from polystream.v1.operations_pb2 import Event, ListOperationsRequest
from polystream.v1.payments_pb2 import ListPaymentsRequest
from polystream.v1.subscriptions_pb2 import ListSubscriptionsRequest
from polystream.v1.system_pb2 import GetHealthRequest, Health
from polystream.v1.views_pb2 import ListViewsRequest

from gateway.operations.event_log import EventLogClient
from gateway.operations.marks import StoreMarks
from gateway.operations.tracker import OperationTracker
from gateway.queries import build_queries
from gateway.queries.health import HealthQueries
from gateway.queries.stores import Stores
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.health.part import PartHealth
from mesh.pages import DEFAULT_SIZE, page_of
from mesh.schemas import RegistryClient
from mesh.settings import (
    GatewaySettings,
    KafkaSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.telemetry.tracing import Tracing
from mesh.threads import CriticalThreads
from monitor.records import TracedEvent
from monitor.service import EventLog
from monitor.store.local import LocalEventStore


async def test_what_is_to_be_known_of_an_engine_that_works_is_told() -> None:
    """It stays HEALTHY; of one that does not work, that counts and no more."""
    works, risk = True, "what is acknowledged may be lost"

    async def ask() -> None:
        if not works:
            raise PolystreamError(Reason.KAFKA_UNAVAILABLE)

    async def hear() -> ListPartHealthResponse:
        return ListPartHealthResponse()

    async def details() -> dict[str, tuple[int, str]]:
        queries = HealthQueries({"kafka": ask, "redis": ask}, hear, PartHealth("g", "gateway"), {"kafka": lambda: risk})
        health = await queries.get_health(GetHealthRequest(), None)
        return {part.name: (part.status, part.detail) for part in health.components if part.name in {"kafka", "redis"}}

    assert await details() == {"kafka": (Health.HEALTHY, risk), "redis": (Health.HEALTHY, "")}
    works = False
    assert await details() == dict.fromkeys(("kafka", "redis"), (Health.UNHEALTHY, "does not answer"))


async def test_every_query_of_the_contract_has_a_handler_and_no_other_has() -> None:
    """An RPC that is no command is a query; a streaming RPC's handler is an async generator."""
    catalog = load_catalog()
    stores = Stores(PostgresSettings(), MongoSettings(), RedisSettings())
    registry, event_log = RegistryClient(RegistrySettings()), EventLogClient("127.0.0.1:1")
    tracker = OperationTracker(
        settings=GatewaySettings(),
        catalog=catalog,
        kafka=KafkaSettings(),
        redis_settings=RedisSettings(),
        redis_client=stores.redis_client,
        marks=StoreMarks(stores),
        marks_ttl_s=7 * 24 * 3600,
        schemas=registry,
        event_log=event_log,
        tracing=Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True)),
        threads=CriticalThreads(),
    )
    queries = build_queries(
        stores, tracker, event_log, HealthQueries({}, event_log.parts, PartHealth("gateway-0", "gateway"))
    )
    await stores.close()
    registry.close()

    services = list(catalog.services)
    services.append(operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"])
    declared = {
        f"{service.full_name}/{method.name}": method
        for service in services
        for method in service.methods
        if method.name not in catalog.commands
    }
    assert set(queries) == set(declared)
    for name, method in declared.items():
        assert inspect.isasyncgenfunction(queries[name]) == method.server_streaming, name


def test_a_token_gives_back_its_key_for_the_same_list() -> None:
    """The size of the page may change from page to page."""
    first = page_of(ListViewsRequest(user_id=1, page_size=2), int, str)
    assert (first.size, first.after) == (2, None)
    token = first.token(1234, "abc")
    assert page_of(ListViewsRequest(user_id=1, page_token=token), int, str).after == (1234, "abc")
    assert page_of(ListViewsRequest(user_id=1, page_token=token), int, str).size == DEFAULT_SIZE


_GOOD = page_of(ListPaymentsRequest(user_id=1), int).token(10)


def _forged() -> str:
    """Return a token whose body was exchanged."""
    raw = base64.urlsafe_b64decode(_GOOD + "==")
    return base64.urlsafe_b64encode(raw[:8] + b"[99]").decode()


@pytest.mark.parametrize(
    "token",
    [
        page_of(ListPaymentsRequest(user_id=2), int).token(10),
        page_of(ListSubscriptionsRequest(user_id=1), int).token(10),
        page_of(ListPaymentsRequest(user_id=1), str).token("10"),
        page_of(ListPaymentsRequest(user_id=1), int).token(2**63),
        _GOOD[:-2],
        f"{_GOOD} ",
        f"{_GOOD}=",
        f"!{_GOOD}",
        _forged(),
        "x",
        "not a token",
        "çã",
        "AAAAAAAAAAAAAAAA",
    ],
    ids=[
        *("another user", "another list", "wrong type", "too large", "cut", "a space more", "an equals sign more"),
        *("a mark more", "forged", "x", "words", "unicode", "zeros"),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    """A token of another list, or none at all, is an error of the field `page_token`."""
    with pytest.raises(PolystreamError) as caught:
        page_of(ListPaymentsRequest(user_id=1, page_token=token), int)
    assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
    assert [fault.field for fault in caught.value.faults] == ["page_token"]


@pytest.mark.parametrize(
    "key", [("\ud800",), ("a\0b",), (10**30,), (-(2**63) - 1,), (True,), (1.5,), (None,), (1, 2), ()]
)
def test_no_store_is_asked_for_what_it_cannot_hold(key: tuple[Any, ...]) -> None:
    """Whoever makes a token up may know how."""
    request = ListPaymentsRequest(user_id=1)
    request.page_token = page_of(request, int).token(*key)
    for kind in (int, str):
        with pytest.raises(PolystreamError) as caught:
            page_of(request, kind)
        assert caught.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_a_list_of_operations_takes_its_own_tokens_alone(tmp_path: Path) -> None:
    """Another's, or one made up, is the caller's fault and not the store's."""
    catalog = load_catalog()
    store = LocalEventStore(tmp_path, catalog)
    log = EventLog(store, catalog)
    for number in range(3):
        event = Event(event_id=str(number), correlation_id=f"0190a5c4-0000-7000-8000-00000000000{number}")
        event.timestamp.FromMicroseconds(1_700_000_000_000_000 + number)
        event.event_type, event.command = "command.accepted", "DeleteUser"
        store.append([TracedEvent(event, sampled=False)])
    first = log.operations_page(ListOperationsRequest(page_size=2))
    second = log.operations_page(ListOperationsRequest(page_size=2, page_token=first.next_page_token))
    assert [len(first.operations), len(second.operations), second.next_page_token] == [2, 1, ""]
    made_up = [base64.urlsafe_b64encode(text).decode() for text in (b'[1e999,"a",0,"",0]', b'[1,"\\ud800",0,"",0]')]
    for token in (*made_up, f"{first.next_page_token} "):
        with pytest.raises(PolystreamError) as caught:
            log.operations_page(ListOperationsRequest(page_token=token))
        assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
    with pytest.raises(PolystreamError) as caught:
        log.operations_page(ListOperationsRequest(user_id=1, page_token=first.next_page_token))
    assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
    store.close()
