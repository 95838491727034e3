"""The page that sends: its forms, its calls as text, and what it refuses."""

import json
import shlex
from pathlib import Path

import pytest
from polystream.v1.users_pb2 import CreateUserRequest, ListUsersResponse, User

from mesh.catalog import load_catalog
from mesh.personal_data import MASK
from mesh.proto_json import to_dict
from monitor.pages.calls import call_of, method_of
from monitor.pages.forms import form_fields, read_form
from monitor.pages.masking import masked
from tests.support.monitor_pages import opened_pages

CATALOG = load_catalog()
ADDRESSES = {"rest": "http://localhost:8000", "grpc": "localhost:50051"}


@pytest.mark.parametrize("name", CATALOG.commands)
async def test_every_rpc_has_a_form(tmp_path: Path, name: str) -> None:
    """With a labelled field for each of the request's, and a button."""
    async with opened_pages(tmp_path) as opened:
        page = (await opened.client.get(f"/send/{name}")).text
        for field in CATALOG.commands[name].request_class.DESCRIPTOR.fields:
            assert f'<label for="{field.name}">' in page
        assert f'action="/send/{name}"' in page


def test_a_form_has_the_bounds_of_the_contract() -> None:
    """Numbers and lengths, enums by name, and what is required."""
    found = method_of(CATALOG, "CacheContent")
    assert found is not None
    fields = {field.name: field for field in form_fields(found[1].input_type)}
    assert fields["content_id"].bounds == {"min": "1", "max": str(2**53 - 1)}
    assert fields["content_id"].is_required
    assert fields["title"].bounds == {"minlength": "1", "maxlength": "300"}
    assert fields["kind"].choices == ["MOVIE", "SERIES", "DOCUMENTARY"]
    assert fields["genres"].widget == "lines"
    assert fields["attributes"].widget == "json"


def test_what_a_form_says_is_read_field_by_field() -> None:
    """Each fault is the field's own."""
    request = CreateUserRequest()
    fields, faults = read_form(request, {"user_id": "7", "name": " Ana ", "cpf": ""})
    assert fields == {"user_id": 7, "name": "Ana"}
    assert (request.user_id, request.name, faults) == (7, "Ana", [])
    _, faults = read_form(CreateUserRequest(), {"user_id": "seven", "name": "Ana"})
    assert [fault.field for fault in faults] == ["user_id"]


def test_no_personal_data_is_shown() -> None:
    """Wherever it stands in an answer."""
    user = User(user_id=7, name="Ana", email="ana@example.com", cpf="52998224725")
    answer = ListUsersResponse(users=[user, User(user_id=8)])
    shown = masked(answer, to_dict(answer))
    assert shown["users"][0] == {"user_id": "7", "name": MASK, "email": MASK, "cpf": MASK}
    assert shown["users"][1] == {"user_id": "8"}


def test_a_call_is_told_in_three_ways() -> None:
    """What is in the path is not in the body, and no value ends a word of the shell's."""
    call = call_of(CATALOG, "UpdateUser", {"user_id": 7, "name": "D'Ávila; rm"}, ADDRESSES)
    words = shlex.split(call.curl)
    assert words[:4] == ["curl", "-X", "PATCH", "http://localhost:8000/v1/users/7"]
    assert json.loads(words[-1]) == {"name": "D'Ávila; rm"}
    words = shlex.split(call.grpcurl)
    assert json.loads(words[words.index("-d") + 1]) == {"user_id": 7, "name": "D'Ávila; rm"}
    assert words[-2:] == ["localhost:50051", "polystream.v1.UserService/UpdateUser"]
    compile(call.python, "call", "exec")
    assert "api.users.update_user(user_id=7" in call.python
    call = call_of(CATALOG, "ListUsers", {"page_size": 2}, ADDRESSES)
    assert shlex.split(call.curl) == ["curl", "http://localhost:8000/v1/users?page_size=2"]


@pytest.mark.parametrize(
    ("content_type", "body", "origin", "status"),
    [
        ("application/json", b"{}", "", 415),
        ("application/x-www-form-urlencoded", b"name=" + b"x" * 70_000, "", 413),
        ("application/x-www-form-urlencoded", b"name=Ana", "https://elsewhere.example", 403),
        ("application/x-www-form-urlencoded", b"name=Ana", "null", 403),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(
    tmp_path: Path, content_type: str, body: bytes, origin: str, status: int
) -> None:
    """A page of elsewhere can send nothing through the monitor."""
    async with opened_pages(tmp_path) as opened:
        headers = {"content-type": content_type} | ({"origin": origin} if origin else {})
        response = await opened.client.post("/send/CreateUser", content=body, headers=headers)
        assert response.status_code == status


async def test_a_gateway_that_is_down_is_told(tmp_path: Path) -> None:
    """With the call to make elsewhere, and what was filled in."""
    async with opened_pages(tmp_path, json.dumps(ADDRESSES)) as opened:
        response = await opened.client.post("/send/GetUser", data={"user_id": "41"})
        assert "the gateway does not answer: UNAVAILABLE" in response.text
        assert "curl http://localhost:8000/v1/users/41" in response.text
        assert 'value="41"' in response.text
