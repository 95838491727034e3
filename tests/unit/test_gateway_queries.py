"""The queries as a whole, and their page tokens."""

import base64
import inspect

import pytest
from google.longrunning import operations_proto_pb2
from polystream.v1.payments_pb2 import ListPaymentsRequest
from polystream.v1.subscriptions_pb2 import ListSubscriptionsRequest
from polystream.v1.views_pb2 import ListViewsRequest

from gateway.operations.event_log import EventLogClient
from gateway.operations.tracker import OperationTracker
from gateway.queries import build_queries
from gateway.queries.pages import DEFAULT_SIZE, page_of
from gateway.queries.stores import Stores
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
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
        schemas=registry,
        event_log=event_log,
        tracing=Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True)),
        threads=CriticalThreads(),
    )
    queries = build_queries(stores, tracker, event_log, {})
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


def _forged() -> str:
    """Return a token whose body was exchanged."""
    raw = base64.urlsafe_b64decode(page_of(ListPaymentsRequest(user_id=1), int).token(10) + "==")
    return base64.urlsafe_b64encode(raw[:8] + b"[99]").decode()


@pytest.mark.parametrize(
    "token",
    [
        page_of(ListPaymentsRequest(user_id=2), int).token(10),
        page_of(ListSubscriptionsRequest(user_id=1), int).token(10),
        page_of(ListPaymentsRequest(user_id=1), str).token("10"),
        page_of(ListPaymentsRequest(user_id=1), int).token(2**63),
        page_of(ListPaymentsRequest(user_id=1), int).token(10)[:-2],
        _forged(),
        "x",
        "not a token",
        "çã",
        "AAAAAAAAAAAAAAAA",
    ],
    ids=["another user", "another list", "wrong type", "too large", "cut", "forged", "x", "words", "unicode", "zeros"],
)
def test_any_other_token_is_refused(token: str) -> None:
    """A token of another list, or none at all, is an error of the field `page_token`."""
    with pytest.raises(PolystreamError) as caught:
        page_of(ListPaymentsRequest(user_id=1, page_token=token), int)
    assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
    assert [fault.field for fault in caught.value.faults] == ["page_token"]
