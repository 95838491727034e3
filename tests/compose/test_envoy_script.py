"""`envoy.sh`, which is Envoy's entry point in its container, stops without cutting what is under way."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx

from stack.edge.admin import admin_socket
from stack.edge.render import Address, EdgeLimits, render_config
from tests.support.compose_file import script
from tests.support.compose_probe import programs_path, service_of
from tests.support.edge import Edge, running_edge
from tests.support.ports import free_port_run
from tests.support.waiting import eventually

_HANG: Final = {"x-echo-hang": "1"}  # the gateway's stand-in answers nothing


def test_a_stop_waits_for_the_answer_of_what_is_under_way(tmp_path: Path) -> None:
    """The request of before SIGTERM gets its answer whole, here that of its deadline; then Envoy ends with 0."""
    with running_edge(tmp_path, limits=EdgeLimits(wait_timeout_s=1.5)) as edge, _script(tmp_path, edge, 10) as envoy:
        with _request_under_way(edge, envoy.url) as answer:
            envoy.process.send_signal(signal.SIGTERM)
            assert answer.result(10).json()["details"][0]["reason"] == "DEADLINE_EXCEEDED"
        assert envoy.process.wait(10) == 0


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    """What takes longer than ENVOY_DRAIN_MAX_S is cut, so that the container is not killed; the exit code is 0."""
    with (
        running_edge(tmp_path, limits=EdgeLimits(wait_timeout_s=60)) as edge,
        _script(tmp_path, edge, 1) as envoy,
        _request_under_way(edge, envoy.url) as answer,
    ):
        envoy.process.send_signal(signal.SIGTERM)
        assert envoy.process.wait(10) == 0
        assert isinstance(answer.exception(10), httpx.HTTPError)


def test_an_envoy_that_does_not_start_ends_the_container_with_its_code(tmp_path: Path) -> None:
    """A configuration that is none is told in the log, and the exit code is not 0: the container is started again."""
    file = tmp_path / "envoy.yaml"
    file.write_text("nonsense: true")
    done = subprocess.run(
        _argv(file), env=_environment("none.sock", 1), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "nonsense" in done.stderr


class _Envoy:
    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self.process = process
        self.url = url


@contextmanager
def _script(folder: Path, edge: Edge, drain_max_s: int) -> Iterator[_Envoy]:
    """Run the script on Envoy's command of compose.yaml, before the gateways of an edge."""
    listen, admin = Address("127.0.0.1", free_port_run(1)), admin_socket(folder / "of-script")
    (folder / "of-script").mkdir()
    file = folder / "of-script.yaml"
    file.write_text(render_config(replace(edge.config, listen=listen, admin_socket=admin)))
    environment = _environment(admin, drain_max_s)
    with subprocess.Popen(_argv(file), env=environment, start_new_session=True) as process:
        try:
            healthy = ["bash", str(script("envoy.sh")), "healthy"]
            eventually(lambda: subprocess.run(healthy, env=environment, check=False).returncode == 0, 20)
            yield _Envoy(process, f"http://127.0.0.1:{listen.port}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _argv(file: Path) -> list[str]:
    of_compose = service_of("envoy").fields["command"]
    return ["bash", str(script("envoy.sh")), "run", of_compose[0], str(file), *of_compose[2:]]


def _environment(admin: str, drain_max_s: int) -> dict[str, str]:
    return {"PATH": programs_path(), "ENVOY_ADMIN_SOCKET": admin, "ENVOY_DRAIN_MAX_S": str(drain_max_s)}


@contextmanager
def _request_under_way(edge: Edge, url: str) -> Iterator["Future[httpx.Response]"]:
    """Send a request that waits for its answer, and go on once the gateway has it."""
    with ThreadPoolExecutor(1) as background:
        before = edge.gateways.http[0].hanging
        answer = background.submit(httpx.post, f"{url}/v1/users", headers=_HANG, timeout=30)
        eventually(lambda: edge.gateways.http[0].hanging > before, 30)
        yield answer
