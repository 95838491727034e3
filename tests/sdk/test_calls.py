"""What the SDK's calls send: fields, pages, trace context, token; and TLS."""

import datetime as dt
import ssl
from collections.abc import Mapping
from typing import Any

import grpc
import opentelemetry.context
import pytest
from opentelemetry import trace
from polystream.v1 import contents_pb2, operations_pb2, payments_pb2, users_pb2
from polystream_sdk import ContentKind, InternalError, Money, PaymentMethod, Polystream, UnavailableError

from tests.sdk.conftest import FAST
from tests.support.certificates import self_signed
from tests.support.scripted_server import ScriptedServer

ACCEPTED = operations_pb2.Operation(correlation_id="0190")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_fields_of_every_kind_arrive(server: ScriptedServer, api: Polystream) -> None:
    """Enums, messages, lists, maps, times and absent fields are what protobuf reads."""
    server.answers += [ACCEPTED] * 4
    await api.contents.cache_content(
        content_id=5678,
        title="Cidade",
        kind=ContentKind.MOVIE,
        genres=("drama", "crime"),
        attributes={"age": "16"},
    )
    content = server.calls[0].request
    assert (content.content_id, content.kind) == (5678, contents_pb2.Content.MOVIE)
    assert list(content.genres) == ["drama", "crime"]
    assert dict(content.attributes) == {"age": "16"}

    amount = Money(currency_code="BRL", units=29, nanos=900_000_000)
    await api.payments.create_payment(user_id=1234, amount=amount, method=PaymentMethod.PIX)
    payment = server.calls[1].request
    assert (payment.amount.units, payment.method) == (29, payments_pb2.Payment.PIX)

    await api.users.update_user(user_id=1234, email="")
    update = server.calls[2].request
    assert (update.HasField("name"), update.HasField("email")) == (False, True)

    at = dt.datetime(2026, 1, 31, 22, 15, tzinfo=dt.UTC)
    await api.views.record_view(user_id=1234, watch_time=at)
    assert server.calls[3].request.watch_time.ToDatetime(dt.UTC) == at


def _page(*user_ids: int, token: str = "") -> users_pb2.ListUsersResponse:
    users = [users_pb2.User(user_id=user_id) for user_id in user_ids]
    return users_pb2.ListUsersResponse(users=users, next_page_token=token)


async def test_lists_are_iterated_over(server: ScriptedServer, api: Polystream) -> None:
    """Items come in order over all pages, empty ones among them, each page asked for with the token before."""
    server.answers += [_page(1, 2, token="a"), _page(token="b"), _page(3)]
    assert [user.user_id async for user in api.users.list_users(page_size=2)] == [1, 2, 3]
    asked = [(call.request.page_size, call.request.page_token) for call in server.calls]
    assert asked == [(2, ""), (2, "a"), (2, "b")]


async def test_pages_come_when_they_are_needed(server: ScriptedServer, api: Polystream) -> None:
    """Nothing is fetched ahead; pages can be iterated over, and gone on with from a token."""
    server.answers += [_page(1, token="a"), _page(2, token="b"), _page(3)]
    async for user in api.users.list_users():
        assert user.user_id == 1
        break
    assert len(server.calls) == 1
    pages = [page async for page in api.users.list_users(page_token="a").pages()]
    assert [[user.user_id for user in page.users] for page in pages] == [[2], [3]]
    assert server.calls[1].request.page_token == "a"


async def test_a_list_that_does_not_go_on_ends(server: ScriptedServer, api: Polystream) -> None:
    """A server that names the same page again raises an error, rather than an endless loop."""
    server.answers += [_page(1, token="a"), _page(2, token="a")]
    with pytest.raises(InternalError):
        assert [user async for user in api.users.list_users()] == []


async def test_trace_context_is_passed_on(server: ScriptedServer, api: Polystream) -> None:
    """OpenTelemetry's current span is the caller; without one there is none, and an explicit context comes first."""
    server.answers += [users_pb2.User()] * 3
    await api.users.get_user(user_id=1)
    assert "traceparent" not in server.calls[0].metadata

    context = trace.SpanContext(
        trace_id=0x1AF7651916CD43DD8448EB211C80319C,
        span_id=0xA7AD6B7169203331,
        is_remote=False,
        trace_flags=trace.TraceFlags(1),
        trace_state=trace.TraceState([("vendor", "x")]),
    )
    token = opentelemetry.context.attach(trace.set_span_in_context(trace.NonRecordingSpan(context)))
    try:
        await api.users.get_user(user_id=1)
        await api.users.get_user(user_id=1, traceparent=TRACEPARENT)
    finally:
        opentelemetry.context.detach(token)
    current, explicit = server.calls[1].metadata, server.calls[2].metadata
    assert current["traceparent"] == "00-1af7651916cd43dd8448eb211c80319c-a7ad6b7169203331-01"
    assert current["tracestate"] == "vendor=x"
    assert explicit["traceparent"] == TRACEPARENT
    assert "tracestate" not in explicit


async def test_a_bad_traceparent_is_refused(api: Polystream, server: ScriptedServer) -> None:
    """A trace context that is none is the caller's mistake, told before anything is sent."""
    with pytest.raises(ValueError, match="traceparent"):
        await api.users.get_user(user_id=1, traceparent="yes")
    assert server.calls == []


async def test_tokens_are_sent(server: ScriptedServer) -> None:
    """A token, or what the function returns at each call, is the bearer."""
    tokens = iter(["first", "second"])
    server.answers += [users_pb2.User()] * 3
    async with Polystream(server.target, token=lambda: next(tokens), retry=FAST) as api:
        await api.users.get_user(user_id=1)
        await api.users.get_user(user_id=1)
    async with Polystream(server.target, token="fixed", retry=FAST) as api:
        await api.users.get_user(user_id=1)
    sent = [call.metadata["authorization"] for call in server.calls]
    assert sent == ["Bearer first", "Bearer second", "Bearer fixed"]


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        ("localhost", {}, ("localhost", 8000, False)),
        ("[::1]:9000", {}, ("::1", 9000, False)),
        ("http://localhost:8000", {}, ("localhost", 8000, False)),
        ("https://api.example.com", {}, ("api.example.com", 443, True)),
        ("https://api.example.com:8443/", {}, ("api.example.com", 8443, True)),
        ("api.example.com:443", {"tls": True}, ("api.example.com", 443, True)),
    ],
)
def test_targets(target: str, options: Mapping[str, Any], expected: tuple[str, int, bool]) -> None:
    """Host, port and TLS come from the address, and TLS from its own argument before that."""
    calls = Polystream(target, **options)._calls
    assert (calls._host, calls._port, calls._tls is not None) == expected


async def test_tls() -> None:
    """With a context that trusts the server, calls are made over TLS; a server that is not trusted is told at once."""
    key, certificate = self_signed("127.0.0.1")
    async with ScriptedServer(grpc.ssl_server_credentials([(key, certificate)])) as server:
        server.answers.append(users_pb2.User(user_id=7))
        trusting = ssl.create_default_context(cadata=certificate.decode())
        async with Polystream(server.target, tls=trusting) as api:
            assert (await api.users.get_user(user_id=7)).user_id == 7
        async with Polystream(f"https://{server.target}") as api:
            with pytest.raises(UnavailableError) as raised:
                await api.users.get_user(user_id=7)
        assert raised.value.reason == "CERTIFICATE_NOT_TRUSTED"
        assert len(server.calls) == 1
