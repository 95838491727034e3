"""A Kafka record as a page shows it: the platform's own whole but for personal data, a foreign one by its position."""

import json
from collections.abc import Sequence

import pytest
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import CacheContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import CreateUserRequest, User

from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.envelope import HeaderList, KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.personal_data import MASK
from mesh.schemas import SchemaVersion, load_schema, subject
from mesh.topic_reader import TopicPosition
from monitor.pages.shown_record import RecordRenderer, RecordSchema, RecordState, ShownRecord, value_text
from tests.support.foreign_records import CASES, RawRecord

_ID = "0197a1b2-0000-7000-8000-000000000001"
_MESSAGES: Sequence[type[Message]] = (CreateUserRequest, CacheContentRequest, CommandReceipt)
_NAMES = {number: str(each.DESCRIPTOR.full_name) for number, each in enumerate(_MESSAGES, 1)}


class Registry:
    """The schemas of some records, by number; answers nothing while it is `silent`."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_silent = False

    def schema_by_id(self, schema_id: int) -> str:
        """Return a schema."""
        self._answer()
        if schema_id not in _NAMES:
            raise PolystreamError(Reason.UNDECODABLE, f"there is no schema {schema_id}")
        return json.dumps(load_schema(_NAMES[schema_id]))

    def versions_of(self, schema_id: int) -> list[SchemaVersion]:
        """Return its subjects: one of the platform's, and one of somebody else's."""
        self._answer()
        topic = topics.RECEIPTS if _NAMES[schema_id].endswith("Receipt") else topics.COMMANDS
        return [SchemaVersion("elsewhere", 7), SchemaVersion(subject(topic, _NAMES[schema_id]), 3)]

    def _answer(self) -> None:
        self.asked += 1
        if self.is_silent:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE)


def _encoded(message: Message) -> bytes:
    name = str(message.DESCRIPTOR.full_name)
    schema_id = next(number for number, each in _NAMES.items() if each == name)
    return Encoder(message.DESCRIPTOR, load_schema(name), schema_id).encode(message)  # type: ignore[arg-type] # upb's own


def _viewed(
    command: str,
    value: bytes | None,
    *more: tuple[str, str | bytes | None],
    topic: str = topics.COMMANDS,
    key: bytes | None = b"7",
    registry: Registry | None = None,
) -> ShownRecord:
    headers: HeaderList = [(topics.CORRELATION_ID, _ID), (topics.COMMAND, command), *more]
    record = KafkaRecord(topic, 2, 17, 1_700_000_000_000, 0, key, value, headers)
    (view,) = RecordRenderer(load_catalog(), registry or Registry()).of([(TopicPosition(topic, 2, 17), record)], _ID)
    return view


def test_a_command_is_shown_whole_but_for_personal_data() -> None:
    """Key, headers, schema with its subject and version, and the value; and the form with which it is sent again."""
    request = CreateUserRequest(user_id=7, name="Ana", email="ana@example.com", cpf="52998224725", request_id="r1")
    view = _viewed("CreateUser", _encoded(request), (topics.SERVICE, "gateway-0"))
    assert view.state is RecordState.READ
    assert (view.key, view.other_headers, view.withheld) == ("7", 0, "")
    assert dict(view.headers) == {"correlation_id": _ID, "command": "CreateUser", "service": "gateway-0"}
    name = "polystream.v1.CreateUserRequest"
    assert view.schema == RecordSchema(1, name, f"user_events-{name}", 3)
    assert view.value == {"user_id": "7", "name": MASK, "email": MASK, "cpf": MASK, "request_id": "r1"}
    assert view.form == {"user_id": "7"}
    assert "Ana" not in repr(view)


def test_a_receipt_is_shown_with_its_result() -> None:
    """Its bytes are read by their type, and it is nothing to send again."""
    result = CommandReceipt.Result(
        type_url="type.googleapis.com/polystream.v1.User", value=User(user_id=7, name="Ana").SerializeToString()
    )
    receipt = CommandReceipt(correlation_id=_ID, command="CreateUser", store="POSTGRESQL", result=result)
    view = _viewed("CreateUser", _encoded(receipt), topic=topics.RECEIPTS)
    assert view.value is not None
    assert view.value["result"] == {
        "@type": "type.googleapis.com/polystream.v1.User",
        "user_id": "7",
        "name": MASK,
    }
    assert view.form is None


def test_a_long_value_is_cut() -> None:
    """Its texts, its lists, and all of it."""
    content = CacheContentRequest(content_id=5, title="x" * 1000, genres=["Drama"] * 80)
    view = _viewed("CacheContent", _encoded(content))
    assert view.value is not None
    assert len(view.value["title"]) == 301
    assert view.value["genres"][-1] == "… 30 more"
    assert len(value_text({f"n{number}": "x" * 300 for number in range(200)})) == 20_001


@pytest.mark.parametrize("name", CASES)
def test_no_foreign_record_breaks_the_page(name: str) -> None:
    """Whatever its bytes are, it is shown, and shown within bounds."""
    good = RawRecord(
        b"7",
        _encoded(CreateUserRequest(user_id=7, name="Ana")),
        ((b"correlation_id", _ID.encode()), (b"command", b"CreateUser")),
    )
    changed = CASES[name](good)
    headers = [(header.decode("utf-8", "replace"), value) for header, value in changed.headers]
    record = KafkaRecord(topics.COMMANDS, 2, 17, 0, 0, changed.key, changed.value, headers)
    (view,) = RecordRenderer(load_catalog(), Registry()).of([(TopicPosition(topics.COMMANDS, 2, 17), record)], _ID)
    assert view.state in {RecordState.READ, RecordState.REPLACED}
    assert (view.value is None) == bool(view.withheld) or view.state is RecordState.REPLACED
    assert len(repr(view)) < 40_000


def test_nothing_of_a_foreign_record_is_shown_that_could_be_personal() -> None:
    """Neither its value, nor its key, nor headers that are not the platform's, or not as it writes them."""
    view = _viewed(
        "Ana Souza",
        b'{"name": "Ana Souza"}',
        (topics.SERVICE, "Ana Souza"),
        (topics.JUSTIFICATION, "asked by ana@example.com"),
        (topics.TRACESTATE, "vendor=ana"),
        ("ana@example.com", "52998224725"),
        key=b"ana@example.com",
    )
    assert dict(view.headers) == {
        "correlation_id": _ID,
        "command": MASK,
        "tracestate": MASK,
        "service": MASK,
        "justification": f"asked by {MASK}",
    }
    assert (view.key, view.value, view.other_headers) == ("", None, 1)
    assert view.withheld == "it is not in the Confluent wire format"


def test_what_is_not_there_is_said() -> None:
    """Whether Kafka has it no longer, or has another one in its position."""
    position = TopicPosition(topics.COMMANDS, 2, 17)
    other = KafkaRecord(*position, 0, 0, b"7", None, [(topics.CORRELATION_ID, _ID)])
    views = RecordRenderer(load_catalog(), Registry())
    assert [view.state for view in views.of([(position, None), (position, other)], _ID[:-1] + "2")] == [
        "GONE",
        "REPLACED",
    ]


def test_a_silent_registry_is_asked_once_for_all_records() -> None:
    """What needs no schema is shown, and the rest when it answers."""
    registry = Registry()
    registry.is_silent = True
    views = RecordRenderer(load_catalog(), registry)
    position, value = TopicPosition(topics.COMMANDS, 2, 17), _encoded(CreateUserRequest(user_id=7))
    headers: HeaderList = [(topics.CORRELATION_ID, _ID), (topics.COMMAND, "CreateUser")]
    record = KafkaRecord(*position, 0, 0, b"7", value, headers)
    shown = views.of([(position, record)] * 5, _ID)
    assert registry.asked == 1
    assert all(view.is_provisional and view.headers and view.value is None for view in shown)
    registry.is_silent = False
    (view,) = views.of([(position, record)], _ID)
    assert (view.is_provisional, view.value) == (False, {"user_id": "7"})
