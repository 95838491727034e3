"""What the arguments of every method take, and what they refuse before anything is sent."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum
from typing import Any, Final

import pytest
from polystream.v1 import operations_pb2
from polystream_sdk import (
    ContentKind,
    InvalidArgumentError,
    InvalidFieldError,
    Money,
    OperationState,
    PaymentMethod,
    Polystream,
    RetryPolicy,
    SubscriptionPlan,
    UnimplementedError,
)
from polystream_sdk.kinds import (
    Binary,
    Choice,
    Entries,
    Flag,
    Float,
    Group,
    Integer,
    Kind,
    Maybe,
    Several,
    Span,
    Text,
    Time,
    WrongValueError,
)
from polystream_sdk.services import _fields

from mesh.catalog import load_catalog
from tests.support.scripted_server import ScriptedServer

ACCEPTED: Final = operations_pb2.Operation(correlation_id="0190")
NAIVE: Final = datetime(2026, 1, 31, 22, 15)  # noqa: DTZ001 # that is the point
SECRET: Final = "maria.at.example"


class _Name(str, Enum):  # noqa: UP042 # the older way, which programs have still
    """A program's own enum of texts, whose str() is not what it holds."""

    BASIC = "BASIC"
    MOVIE = "MOVIE"
    SECONDS = "1.5s"
    DIGITS = "42"


class _Number(IntEnum):
    """A program's own enum of numbers."""

    ANSWER = 42


class _Shown(str):
    """A text that shows itself as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class _Rounded(int):
    """A number that converts itself to another one."""

    def __int__(self) -> int:
        return 7

    __index__ = __int__


class _Scaled(float):
    """The same of a float."""

    __slots__ = ()

    def __float__(self) -> float:
        return 7.0


class _WrongOffset(tzinfo):
    """A time zone that says what none may."""

    def utcoffset(self, _moment: datetime | None) -> Any:
        return 5

    def tzname(self, _moment: datetime | None) -> str:
        return "wrong"

    def dst(self, _moment: datetime | None) -> None:
        return None


NO_OFFSET: Final = datetime(2026, 1, 31, 22, 15, tzinfo=tzinfo())  # type: ignore[abstract]
WRONG_OFFSET: Final = datetime(2026, 1, 31, 22, 15, tzinfo=_WrongOffset())
FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
_OBJECTS: Final[tuple[object, ...]] = (object(), b"x", bytearray(b"x"), {1}, Exception("x"), int)
_TIMES: Final = (
    NO_OFFSET,
    WRONG_OFFSET,
    FIRST.replace(tzinfo=timezone(timedelta(hours=3))),
    "2026-01-31T23:59:59+24:00",
)
# What no field of a kind takes. None is for those that may be None already.
_WRONG: Final[Mapping[type[Any], tuple[object, ...]]] = {
    Integer: (True, 1.0, math.nan, "x", "", " 1", "1.5", "1e3", "0x10", "٣", "--1", [1], ContentKind.MOVIE, *_OBJECTS),
    Float: (True, "x", "", "NaN", "Infinity", "1_0", math.nan, math.inf, -math.inf, 10**400, [1.0], *_OBJECTS),
    Flag: (0, 1, "true", "", [True], *_OBJECTS),
    Text: (1, 1.5, True, ["x"], "\ud800", *_OBJECTS),
    Choice: (True, 1.0, "", "NOTHING", "movie", 99, -1, 2**40, *_OBJECTS),
    Time: (
        NAIVE,
        NAIVE.date(),
        0,
        1.5,
        "",
        "2026-01-31",
        "2026-01-31T22:15:00",
        "2026-02-30T00:00:00Z",
        NO_OFFSET,
        *_TIMES,
        *_OBJECTS,
    ),
    Span: (1, 1.5, "", "1", "s", "1.s", "1 s", "-s", timedelta.max, timedelta.min, "999999999999s", *_OBJECTS),
    Several: ("abc", 1, {"a": 1}, iter(["a"]), *_OBJECTS),
    Entries: ("abc", [("a", "b")], 1, *_OBJECTS),
    Group: ("29.90", 29, 29.9, [], *_OBJECTS),
}
_MOMENT: Final = datetime(2026, 1, 31, 22, 15, 0, 123456, tzinfo=UTC)
_LENGTH: Final = timedelta(seconds=1.5)
_AMOUNT: Final = ("BRL", 29, 900_000_000)
# What the fields of a kind take, each with what arrives.
_GOOD: Final[Mapping[type[Any], list[tuple[object, Any]]]] = {
    Float: [(1, 1.0), (0.5, 0.5), ("1.5e1", 15.0), (-0.25, -0.25), (1.7e308, 1.7e308), (_Scaled(0.5), 0.5)],
    Flag: [(True, True), (False, False)],
    Text: [("", ""), ("São Paulo \U0001f3ac", "São Paulo \U0001f3ac"), (_Name.BASIC, "BASIC"), (_Shown("x"), "x")],
    Time: [
        (_MOMENT, _MOMENT),
        (_MOMENT.astimezone(timezone(timedelta(hours=-3))), _MOMENT),
        ("2026-01-31T22:15:00.123456Z", _MOMENT),
        ("2026-01-31T19:15:00.123456789-03:00", _MOMENT),
        (FIRST, FIRST),
        (LAST, LAST),
    ],
    Span: [
        (_LENGTH, _LENGTH),
        ("1.5s", _LENGTH),
        ("-3s", timedelta(seconds=-3)),
        ("-0.5s", timedelta(seconds=-0.5)),
        (timedelta(microseconds=-1), timedelta(microseconds=-1)),
        (timedelta(seconds=-1.5), timedelta(seconds=-1.5)),
        (timedelta(seconds=74_917_156_149, microseconds=633_910),) * 2,
        (timedelta(seconds=-315_576_000_000),) * 2,
        (_Name.SECONDS, _LENGTH),
        ("0.0000019s", timedelta(microseconds=1)),
    ],
    Several: [(["a", "b"], ["a", "b"]), (("a",), ["a"]), ([], [])],
    Entries: [({"a": "b"}, {"a": "b"}), ({}, {}), (None, {})],
    Group: [
        (Money(currency_code="BRL", units=29, nanos=900_000_000), _AMOUNT),
        ({"currency_code": "BRL", "units": "29", "nanos": 900_000_000}, _AMOUNT),
        ({"currencyCode": "BRL", "units": "29", "nanos": 900_000_000}, _AMOUNT),
    ],
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field's argument of one method."""

    service: str
    method: str
    name: str
    kind: Kind
    required: tuple[str, ...]  # the names of those that have to be given

    @property
    def bare(self) -> Kind:
        """What it takes where it is not None."""
        return self.kind.kind if isinstance(self.kind, Maybe) else self.kind

    async def call(self, api: Polystream, value: object) -> object:
        """Call the method with this value."""
        method = getattr(getattr(api, self.service), self.method)
        made = method(**(dict.fromkeys(self.required, "7") | {self.name: value}))
        return await made if inspect.isawaitable(made) else made


def _tables() -> Iterator[tuple[str, str, Mapping[str, Kind]]]:
    """Yield every method of the SDK with the table of its request."""
    for service in load_catalog().services:
        module = service.file.name.rsplit("/", 1)[-1].removesuffix(".proto")
        for method in service.methods:
            words = "".join(f"_{c}" if c.isupper() else c for c in method.name).lstrip("_")
            table = "".join(f"_{c}" if c.isupper() else c for c in method.input_type.name).lstrip("_")
            yield module, words.lower(), getattr(_fields, f"{table.upper()}_FIELDS")


def _parameters() -> list[Parameter]:
    found = []
    for service, method, table in _tables():
        signature = inspect.signature(getattr(getattr(Polystream("localhost"), service), method))
        required = tuple(n for n, p in signature.parameters.items() if p.default is inspect.Parameter.empty)
        assert set(table) | {"timeout_s", "traceparent"} == set(signature.parameters)
        found += [Parameter(service, method, name, kind, required) for name, kind in table.items()]
    return found


PARAMETERS: Final = _parameters()


def _wrong(kind: Kind) -> list[object]:
    wrong = list(_WRONG[type(kind)])
    if isinstance(kind, Integer):
        low = -(2 ** (kind.bits - 1))
        wrong += [low - 1, -low, 2**kind.bits, 2**64 + 1234, -(2**70), str(-low), "9" * 30]
    if isinstance(kind, Choice) and kind.enum is not PaymentMethod:
        wrong.append(PaymentMethod.PIX)
    if isinstance(kind, Several):
        wrong += [["fine", value] for value in (*_WRONG[type(kind.kind)], None)]
    if isinstance(kind, Entries):
        wrong += [{"a": value} for value in (1, None, b"x")] + [{key: "a"} for key in (1, None, b"x")]
    if isinstance(kind, Group):
        wrong += [Money(units=2**64 + 5), Money(nanos=True), {"units": "x"}, {"cents": 5}, {5: 5}]
        wrong.append({"currencyCode": "BRL", "currency_code": "BRL"})
    return wrong


def test_every_method_is_here() -> None:
    """The tables are those of every RPC, so that none is left out of the tests below."""
    assert len({(p.service, p.method) for p in PARAMETERS}) == sum(bool(t) for *_, t in _tables())
    assert {type(p.bare) for p in PARAMETERS} == set(_WRONG)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: f"{p.method}-{p.name}")
async def test_what_a_field_does_not_take_is_not_sent(
    parameter: Parameter, server: ScriptedServer, api: Polystream
) -> None:
    """Each wrong value of each argument of each method: an error of the SDK that names it and says what to do."""
    wrong = _wrong(parameter.bare)
    if not isinstance(parameter.kind, Maybe | Entries):
        wrong.append(None)
    for value in wrong:
        with pytest.raises(InvalidFieldError) as raised:
            await parameter.call(api, value)
        (violation,) = raised.value.field_violations
        assert violation.field.split(".")[0].split("[")[0].split(" ")[0] == parameter.name
        assert "must" in violation.description or "there are" in violation.description
        assert violation.field in str(raised.value)
    assert server.calls == []


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: f"{p.method}-{p.name}")
async def test_what_a_field_takes_is_sent(parameter: Parameter, server: ScriptedServer, api: Polystream) -> None:
    """The least, the greatest and every form that REST has, as protobuf then reads them."""
    good = _good(parameter.bare) + ([(None, None)] if isinstance(parameter.kind, Maybe) else [])
    for value, expected in good:
        server.calls.clear()
        with suppress(UnimplementedError):  # the server has no answer: what counts is what it was asked
            await _used(await parameter.call(api, value))
        (call,) = server.calls
        if expected is None:
            assert not call.request.HasField(parameter.name)
        elif parameter.name != "request_id" or expected:  # an empty one is replaced
            assert _plain(getattr(call.request, parameter.name)) == expected


def _good(kind: Kind) -> list[tuple[object, Any]]:
    """Return values, each with what arrives."""
    if isinstance(kind, Integer):
        numbers = (0, 1, -1, 2 ** (kind.bits - 1) - 1, -(2 ** (kind.bits - 1)))
        own = [(_Number.ANSWER, 42), (_Name.DIGITS, 42), (_Rounded(3), 3)]
        return own + [(value, number) for number in numbers for value in (number, str(number))]
    if isinstance(kind, Choice):
        members = kind.enum.__members__.items()
        forms = [(form, int(member)) for name, member in members for form in (member, name, int(member))]
        return [*forms, (kind.enum(99), 99)]  # a newer platform's answer may have had that
    return _GOOD[type(kind)]


def _plain(value: Any) -> Any:
    """Return what arrived as Python has it."""
    if hasattr(value, "currency_code"):
        return value.currency_code, value.units, value.nanos
    if hasattr(value, "ToDatetime"):
        return value.ToDatetime(UTC)
    if hasattr(value, "ToTimedelta"):
        return value.ToTimedelta()
    if isinstance(value, str | int | float):
        return value
    return dict(value) if hasattr(value, "items") else list(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -1, -0.001, 10**9, 10**400, "5", b"5", True, [5]])
@pytest.mark.parametrize(("service", "method", "_table"), list(_tables()))
async def test_a_timeout_that_is_none_is_refused(
    service: str, method: str, _table: Mapping[str, Kind], value: Any, server: ScriptedServer, api: Polystream
) -> None:
    """Of every method."""
    called = getattr(getattr(api, service), method)
    required = {
        name: "7" for name, p in inspect.signature(called).parameters.items() if p.default is inspect.Parameter.empty
    }
    with pytest.raises(InvalidFieldError, match="timeout_s: must be"):
        await _used(called(**required, timeout_s=value))
    assert server.calls == []


async def _used(made: Any) -> None:
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aiter__"):
        async for _ in made:
            pass


@pytest.mark.parametrize("value", [math.inf, math.nan, -1, "5", True, 10**9, 10**400])
async def test_a_handles_timeout_is_checked_too(value: Any, server: ScriptedServer, api: Polystream) -> None:
    """Whatever waits."""
    handle = api.operation("0190")
    for wait in (handle.wait, handle.result, handle.refresh, handle.watch):
        with pytest.raises(InvalidFieldError, match="timeout_s: must be"):
            await _used(wait(timeout_s=value))
    assert server.calls == []


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Polystream(timeout_s=math.inf), "timeout_s"),
        (lambda: Polystream(timeout_s=None), "timeout_s"),  # type: ignore[arg-type]
        (lambda: Polystream(wait_timeout_s=-1), "wait_timeout_s"),
        (lambda: Polystream(b"localhost"), "target"),  # type: ignore[arg-type]
        (lambda: Polystream("localhost:99999"), "target"),
        (lambda: Polystream("localhost:port"), "target"),
        (lambda: Polystream("[::1"), "target"),
        (lambda: Polystream("localhost:0"), "target"),
        (lambda: Polystream("ana@localhost:8000"), "target"),
        (lambda: Polystream("localhost:8000#part"), "target"),
        (lambda: Polystream("local host:8000"), "target"),
        (lambda: Polystream("\0localhost:8000"), "target"),
        (lambda: Polystream(tls="yes"), "tls"),  # type: ignore[arg-type]
        (lambda: Polystream(tls=1), "tls"),  # type: ignore[arg-type]
        (lambda: Polystream(token=5), "token"),  # type: ignore[arg-type]
        (lambda: Polystream(token=b"token"), "token"),  # type: ignore[arg-type]
        (lambda: Polystream(token=""), "token"),
        (lambda: Polystream(token="two\nlines"), "token"),
        (lambda: Polystream(token="tokén"), "token"),
        (lambda: Polystream(retry=3), "retry"),  # type: ignore[arg-type]
        (lambda: Polystream(timeout_s=10**400), "timeout_s"),
        (lambda: Polystream().operation(7), "correlation_id"),  # type: ignore[call-overload]
        (lambda: Polystream().operation(b"0190"), "correlation_id"),  # type: ignore[call-overload]
        (lambda: RetryPolicy(max_attempts=1.5), "max_attempts"),  # type: ignore[arg-type]
        (lambda: RetryPolicy(max_attempts=True), "max_attempts"),
        (lambda: RetryPolicy(initial_backoff_s=math.nan), "initial_backoff_s"),
        (lambda: RetryPolicy(max_backoff_s=math.inf), "max_backoff_s"),
        (lambda: RetryPolicy(initial_backoff_s=10**400), "initial_backoff_s"),
    ],
)
def test_other_arguments_are_checked(make: Callable[[], object], field: str) -> None:
    """The client's own, and the policy's."""
    with pytest.raises(InvalidFieldError) as raised:
        make()
    assert [violation.field for violation in raised.value.field_violations] == [field]


@pytest.mark.parametrize("token", [5, None, b"token", "", "two\nlines", "tokén", "two words"])
async def test_a_wrong_token_of_a_function_is_refused(token: Any, server: ScriptedServer) -> None:
    """As one that is given is; it is never quoted."""
    async with Polystream(server.target, token=lambda: token) as api:
        with pytest.raises(InvalidFieldError, match="token: must be"):
            await api.users.get_user(user_id=1)
    assert server.calls == []


@pytest.mark.parametrize("traceparent", ["yes", 5, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""])
async def test_a_wrong_traceparent_is_refused(traceparent: Any, server: ScriptedServer, api: Polystream) -> None:
    """In the same way."""
    with pytest.raises(InvalidFieldError, match="traceparent: must be"):
        await api.users.get_user(user_id=1, traceparent=traceparent)
    assert server.calls == []


async def test_the_error_is_a_value_error_with_every_field(server: ScriptedServer, api: Polystream) -> None:
    """It is caught as the platform's own refusal is, has all faults, and quotes no value."""
    with pytest.raises(InvalidFieldError) as raised:
        await api.users.create_user(user_id=SECRET, name=5, email=SECRET, cpf=b"52998224725")  # type: ignore[arg-type]
    error = raised.value
    assert isinstance(error, ValueError)
    assert isinstance(error, InvalidArgumentError)
    assert [violation.field for violation in error.field_violations] == ["user_id", "name", "cpf"]
    assert error.reason == "INVALID_FIELD"
    assert SECRET not in str(error)
    assert server.calls == []


async def test_names_of_enums_do(server: ScriptedServer, api: Polystream) -> None:
    """The example of the finding: an enum's name where its member is meant, and a number as a text."""
    server.answers += [ACCEPTED, ACCEPTED]
    await api.subscriptions.create_subscription(user_id="1234", plan="PREMIUM", months=3)  # type: ignore[arg-type]
    await api.subscriptions.create_subscription(user_id=1234, plan=SubscriptionPlan.PREMIUM, months=3)
    for call in server.calls:
        call.request.request_id = ""
    assert server.calls[0].request == server.calls[1].request


async def test_what_is_given_is_not_kept(server: ScriptedServer, api: Polystream) -> None:
    """A list, mapping or message of the program is copied: a page that comes later has what was given."""
    server.answers += [operations_pb2.ListOperationsResponse()] * 2
    pager = api.operations.list_operations(state=OperationState.FAILED, page_token="a")
    assert [page async for page in pager.pages()]
    assert [page async for page in pager.pages()]
    assert [call.request.page_token for call in server.calls] == ["a", "a"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Integer(32, signed=False), -1),
        (Integer(32, signed=False), 2**32),
        (Integer(64, signed=False), 2**64),
        (Float(32), 3.5e38),
        (Binary(), "text"),
        (Binary(), 5),
    ],
)
def test_kinds_that_no_request_has_yet(kind: Kind, value: object) -> None:
    """They are ready for the protos to come."""
    with pytest.raises(WrongValueError, match="must be"):
        kind.read(value)
    assert Integer(64, signed=False).read(2**64 - 1) == 2**64 - 1
    assert Float(32).read(1.5) == 1.5
    assert Binary().read(bytearray(b"x")) == b"x"
