"""The SDK's exceptions: one class a code, with what the platform says."""

import grpc
import polystream_sdk
import pytest
from google.rpc import code_pb2, status_pb2
from polystream_sdk import Code, InvalidArgumentError, Polystream, PolystreamError, UnavailableError

from mesh.errors import FieldFault, Reason
from mesh.errors import PolystreamError as ServerError
from tests.sdk.conftest import FAST
from tests.support.ports import free_port_run
from tests.support.scripted_server import ScriptedServer


@pytest.mark.parametrize("code", Code)
async def test_each_code_has_its_class(code: Code, server: ScriptedServer, api: Polystream) -> None:
    """A code raises the class of its name, which is exported."""
    server.answers += [status_pb2.Status(code=code, message="told to")] * FAST.max_attempts
    with pytest.raises(PolystreamError) as raised:
        await api.users.get_user(user_id=1)
    name = "".join(word.capitalize() for word in code.name.split("_")) + "Error"
    assert type(raised.value) is getattr(polystream_sdk, name)
    assert raised.value.code == code


def test_codes_are_those_of_google_rpc() -> None:
    """No code is missing, and none has another number."""
    assert {code.name: int(code) for code in Code} == {
        name: number for name, number in code_pb2.Code.items() if name != "OK"
    }


async def test_details_are_attributes(server: ScriptedServer, api: Polystream) -> None:
    """Reason, domain, metadata and field violations come from the status details, and are in the text."""
    faults = (FieldFault("email", "must be an e-mail address", "string.email"), FieldFault("cpf", "is not valid"))
    server.answers.append(ServerError(Reason.INVALID_FIELD, faults=faults, metadata={"limit": "200"}))
    with pytest.raises(InvalidArgumentError) as raised:
        await api.users.create_user(email="ana")
    error = raised.value
    assert (error.reason, error.domain, error.metadata) == ("INVALID_FIELD", "polystream.dev", {"limit": "200"})
    assert [(v.field, v.description, v.rule) for v in error.field_violations] == [
        ("email", "must be an e-mail address", "string.email"),
        ("cpf", "is not valid", ""),
    ]
    assert error.retry_delay_s is None
    assert error.operation is None
    assert error.request_id == server.calls[0].request.request_id
    assert "INVALID_ARGUMENT INVALID_FIELD" in str(error)
    assert "email: must be an e-mail address" in str(error)


async def test_retry_delay_is_kept(server: ScriptedServer, api: Polystream) -> None:
    """An error that is final since its delay does not fit the deadline says after how long to try again."""
    server.answers.append(ServerError(Reason.STORE_UNAVAILABLE, retry_delay_s=60.5))
    with pytest.raises(UnavailableError) as raised:
        await api.users.get_user(user_id=1)
    assert raised.value.retry_delay_s == 60.5
    assert len(server.calls) == 1


async def test_unknown_details_do_not_hide_the_error(server: ScriptedServer, api: Polystream) -> None:
    """A detail of a type that the SDK does not know, or cannot read, is left out; the others are there."""
    status = ServerError(Reason.USER_NOT_FOUND).to_status()
    status.details.add(type_url="type.googleapis.com/other.v1.Detail", value=b"\x01")
    status.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff\xff")
    server.answers.append(status)
    with pytest.raises(polystream_sdk.NotFoundError) as raised:
        await api.users.get_user(user_id=1)
    assert raised.value.reason == "USER_NOT_FOUND"
    assert raised.value.field_violations == ()


async def test_errors_without_details_are_typed(server: ScriptedServer, api: Polystream) -> None:
    """What a proxy answers has no reason, and its message."""
    server.answers.append(grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(polystream_sdk.PermissionDeniedError) as raised:
        await api.users.get_user(user_id=1)
    assert (raised.value.reason, raised.value.message) == ("", "told to")


async def test_nobody_there_is_unavailable() -> None:
    """Where nothing listens, the call raises UnavailableError without a reason, in bounded time."""
    async with Polystream(f"127.0.0.1:{free_port_run(1)}", timeout_s=0.5) as api:
        with pytest.raises(UnavailableError) as raised:
            await api.users.create_user()
    assert raised.value.reason == ""
    assert raised.value.request_id != ""


async def test_use_outside_the_block_is_told(server: ScriptedServer) -> None:
    """A client that is not open, or no more, says how to use it."""
    client = Polystream(server.target)
    with pytest.raises(RuntimeError, match="async with"):
        await client.users.get_user(user_id=1)
    async with client:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        await client.users.get_user(user_id=1)


@pytest.mark.parametrize("target", ["", "ftp://localhost", "localhost:8000/v1", "http://"])
def test_bad_targets_are_refused(target: str) -> None:
    """A target that is no address is refused when the client is made."""
    with pytest.raises(ValueError, match="target"):
        Polystream(target)
