"""`call`: any method of the running platform, by reflection, as grpcurl would."""

import json
import subprocess

import pytest

from tests.support.platform import CHECKOUT, Platform


def call(platform: Platform, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Call on the running platform."""
    return subprocess.run(
        platform.argv("call", *arguments),
        cwd=CHECKOUT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_command_is_called_by_its_short_name(platform: Platform) -> None:
    """Names of fields as the proto or as JSON has them, the request as an argument or from standard input."""
    for arguments, stdin in (
        (("SubscriptionService/CreateSubscription", '{"userId": 1234, "plan": "PREMIUM"}'), ""),
        (("polystream.v1.SubscriptionService/CreateSubscription", "-"), '{"user_id": 1234, "plan": "BASIC"}'),
    ):
        done = call(platform, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        operation = json.loads(done.stdout)
        assert (operation["command"], operation["user_id"]) == ("CreateSubscription", "1234")
        waited = call(
            platform, "OperationService/WaitOperation", json.dumps({"correlation_id": operation["correlation_id"]})
        )
        assert json.loads(waited.stdout)["state"] == "SUCCEEDED"


def test_a_stream_is_written_as_it_comes(platform: Platform) -> None:
    """Each message of a server's stream is a JSON document of its own, and headers are sent."""
    body = json.dumps({"user_id": 1234, "plan": "PREMIUM"})
    operation = json.loads(call(platform, "SubscriptionService/CreateSubscription", body).stdout)
    done = call(
        platform,
        "OperationService/WatchOperation",
        json.dumps({"correlation_id": operation["correlation_id"]}),
        *("-H", "X-Said: yes"),
    )
    assert done.returncode == 0, done.stderr
    decoder, text, states = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        document, end = decoder.raw_decode(text)
        states.append(document["state"])
        text = text[end:].strip()
    assert states[-1] == "SUCCEEDED"


def test_every_method_is_listed(platform: Platform) -> None:
    """Those of the API, and of the services that every client knows."""
    listed = call(platform, "--list").stdout.splitlines()
    assert "polystream.v1.UserService/CreateUser" in listed
    assert "grpc.health.v1.Health/Check" in listed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("UserService/CreateUser", '{"name": "Ana", "email": "ana", "cpf": "11111111111"}'), 1, "email: "),
        (("UserService/CreateUser", '{"nmae": "Ana"}'), 2, "nmae"),
        (("UserService/CreateUser", "{"), 2, "the request is no JSON"),
        (
            ("UserService/CreateUser", '{"bogus": 1}'),
            2,
            "CreateUserRequest has no field 'bogus'; its fields: user_id, name",
        ),
        (("UserService/CreateUser", "[]"), 2, "the request is a JSON object"),
        (("UserService/CreateUsr", "{}"), 2, "did you mean CreateUser?"),
        (("UsrService/CreateUser", "{}"), 2, "did you mean UserService?"),
        (("CreateUser", "{}"), 2, "say Service/Method"),
        ((), 2, "say Service/Method"),
        (("UserService/CreateUser", "{}", "-H", "x"), 2, "'x' is no header"),
        (("UserService/CreateUser", "{}", "--address", "127.0.0.1:1"), 1, "nothing answers at 127.0.0.1:1"),
    ],
)
def test_a_mistake_is_told_first(platform: Platform, arguments: tuple[str, ...], code: int, said: str) -> None:
    """The sentence that helps comes first, no traceback, and the exit code is not 0."""
    done = call(platform, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_an_error_is_told_whole_as_json(platform: Platform) -> None:
    """With each field at fault, for programs."""
    done = call(platform, "UserService/CreateUser", '{"name": "Ana", "email": "ana", "cpf": "1"}', "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)
    assert error["code"] == "INVALID_ARGUMENT"
    assert {violation["field"] for violation in error["field_violations"]} >= {"email", "cpf"}
