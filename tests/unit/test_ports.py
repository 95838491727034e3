"""Ports of tests that run side by side do not meet, however slowly their servers start."""

import socket
import subprocess
import sys
from dataclasses import astuple

import pytest

from stack.ports import Ports
from tests.support.platform import CHECKOUT
from tests.support.ports import free_offset, free_port_run, take
from tests.support.waiting import eventually

_DRAW = "from tests.support.ports import free_port_run; print(free_port_run(1), flush=True); input()"


@pytest.mark.integration  # it starts a process
def test_what_another_process_has_drawn_is_left_to_it_until_it_ends() -> None:
    """Although nothing listens there."""
    other = subprocess.Popen(
        [sys.executable, "-c", _DRAW], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert not take([port])
        other.kill()
    eventually(lambda: take([port]), 30)


def test_nothing_is_drawn_twice() -> None:
    """Nor is a part of what was drawn before."""
    first = free_port_run(3)
    assert not take([first + 2])
    assert not take(astuple(Ports().shifted(free_offset())))


def test_what_is_refused_is_not_kept() -> None:
    """Where one of several ports is in use, the others stay free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = range(20_000, 20_100)
        assert not any(take([port, server.getsockname()[1]]) for port in ports)
    assert any(take([port]) for port in ports)
