"""What looks like personal data in a text, and messages of which pages show nothing personal."""

import pytest
from google.protobuf import any_pb2, duration_pb2, struct_pb2
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import CacheContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import ListUsersResponse, User

from mesh.personal_data import MASK, redact
from mesh.proto_json import to_dict
from monitor.pages.masking import masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("there is ana.souza+tv@example.com.br, too", f"there is {MASK}, too"),
        ("<ana@localhost>", f"<{MASK}>"),
        ("529.982.247-25", MASK),
        ("CPF 52998224725.", f"CPF {MASK}."),
        ("user_events[0]@12", "user_events[0]@12"),
        ("user 52998224724", "user 52998224724"),  # no CPF: its check digits are others
        ("11111111111", "11111111111"),
        ("1529982247251", "1529982247251"),
        ("nothing personal", "nothing personal"),
    ],
)
def test_addresses_and_cpfs_are_told_by_their_form(text: str, expected: str) -> None:
    """And what only looks a little like them is left as it is."""
    assert redact(text) == expected


def test_marked_fields_are_masked_wherever_they_are() -> None:
    """In lists, and within an Any, by its own type."""
    user = User(user_id=7, name="Ana", email="ana@example.com", cpf="52998224725")
    listed = ListUsersResponse(users=[user, User(user_id=8)])
    assert masked(listed, to_dict(listed))["users"] == [
        {"user_id": "7", "name": MASK, "email": MASK, "cpf": MASK},
        {"user_id": "8"},
    ]
    operation = Operation(correlation_id="x")
    operation.result.Pack(user)
    assert masked(operation, to_dict(operation))["result"]["name"] == MASK


def test_what_is_not_marked_is_masked_by_its_look() -> None:
    """A title stays, an address in it does not; maps are looked through too."""
    content = CacheContentRequest(content_id=5, title="about ana@example.com", genres=["Drama", "529.982.247-25"])
    content.attributes["ana@example.com"] = "52998224725"
    assert masked(content, to_dict(content)) == {
        "content_id": "5",
        "title": f"about {MASK}",
        "genres": ["Drama", MASK],
        "attributes": {MASK: MASK},
    }


@pytest.mark.parametrize("packed", [duration_pb2.Duration(seconds=5), struct_pb2.Struct(), b"\xff\xff"])
def test_a_result_that_nobody_knows_is_told_by_its_type(packed: Message | bytes) -> None:
    """A foreign receipt may hold anything, or bytes that are no message."""
    result = any_pb2.Any(type_url="type.googleapis.com/polystream.v1.User", value=b"\xff\xff")
    if not isinstance(packed, bytes):
        result.Pack(packed)
    receipt = CommandReceipt(
        result=CommandReceipt.Result(type_url=result.type_url, value=result.value), request_fingerprint=b"ana"
    )
    shown = masked(receipt, to_dict(receipt))
    assert shown["result"] == {"@type": result.type_url}
    assert shown["request_fingerprint"] == "3 bytes"
