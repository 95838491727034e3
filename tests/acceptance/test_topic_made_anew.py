"""The commands' topic deleted and made anew under a platform that runs, on the engines that come with it."""

import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import AdminClient

from mesh.topics import COMMANDS
from tests.support.platform import Platform
from tests.support.waiting import eventually

_TIMEOUT_S = 90.0
_TOLD_WITHIN_S = 10.0
_COMMANDS = 60  # so that every partition has some


@pytest.mark.timeout(400)
def test_what_is_acknowledged_in_a_new_topic_is_applied(tmp_path: Path) -> None:
    """Nothing is taken without the topic, and health says what to do; parts that the broker's answers end come back."""
    with (
        Platform(tmp_path, engine_set="embedded") as platform,
        httpx.Client(base_url=platform.door("gateway"), timeout=20) as rest,
    ):

        def told() -> str:
            return str(rest.get("/health").json())

        def send() -> httpx.Response:
            return rest.post("/usuarios")

        before = send().json()["correlation_id"]
        eventually(lambda: _state(rest, before) == "SUCCEEDED", _TIMEOUT_S)
        admin = AdminClient({"bootstrap.servers": platform.endpoints["kafka"], "log_level": 2})
        admin.delete_topics([COMMANDS])[COMMANDS].result(_TIMEOUT_S)
        eventually(lambda: send().status_code == HTTPStatus.SERVICE_UNAVAILABLE, _TOLD_WITHIN_S)
        eventually(lambda: f"there is no topic {COMMANDS}" in told(), _TOLD_WITHIN_S)
        assert {send().status_code for _ in range(_COMMANDS)} == {HTTPStatus.SERVICE_UNAVAILABLE}

        subprocess.run(
            [sys.executable, "-m", "stack.provision"],
            env=platform.environment("gateway-0"),
            cwd=platform.checkout,
            check=True,
            timeout=_TIMEOUT_S,
        )
        sent: list[str] = []
        refusals: set[int] = set()

        def is_taken() -> bool:
            answer = send()
            if answer.is_success:
                sent.append(answer.json()["correlation_id"])
            else:
                refusals.add(answer.status_code)
            return len(sent) > _COMMANDS

        eventually(is_taken, _TIMEOUT_S, interval_s=0.01)
        assert refusals <= {HTTPStatus.SERVICE_UNAVAILABLE}
        eventually(lambda: rest.get("/health").json()["status"] == "HEALTHY", _TIMEOUT_S)
        eventually(lambda: {_state(rest, id_) for id_ in sent} == {"SUCCEEDED"}, _TIMEOUT_S)
        assert _state(rest, before) == "SUCCEEDED"


def _state(rest: httpx.Client, correlation_id: str) -> str:
    return str(rest.get(f"/v1/operations/{correlation_id}").json()["state"])
