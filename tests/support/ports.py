"""Ports for tests: free, and promised to nobody else.

Test processes that run side by side draw from the same numbers, and a server that is still starting does not listen
yet. So whoever draws a port locks that byte of a file which all share, and keeps the lock until it ends.
"""

import fcntl
import os
import random
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import astuple, fields, replace
from functools import cache
from pathlib import Path
from typing import Final

from stack.ports import Ports
from stack.supervisor.free_ports import is_free

_RANGE: Final = range(11_000, 32_000)  # below what Linux gives to outgoing connections
# Linux gives 32768 to 60999 to outgoing connections, and even ones first: these leave the gateway above, MongoDB's
# port odd, and every other one below.
_OFFSETS: Final = range(10_950, 15_460, 2)
_METRICS_PORTS: Final = 8  # of a monitor, gateways and lanes, one after the other
_DRAWS_MAX: Final = 10_000
_MINE: Final[set[int]] = set()
_DRAWING: Final = threading.Lock()


def free_port_run(count: int) -> int:
    """Return the first of `count` neighbouring ports, drawn at random."""
    for _ in range(_DRAWS_MAX):
        first = random.choice(_RANGE)
        if take(range(first, first + count)):
            return first
    raise AssertionError(f"no {count} neighbouring ports are free")


def free_ports() -> Ports:
    """Return ports that are each drawn at random."""
    return replace(Ports(), **{field.name: free_port_run(1) for field in fields(Ports)})


def free_offset() -> int:
    """Return a port offset at which every port of the platform is free."""
    for _ in range(_DRAWS_MAX):
        offset = random.choice(_OFFSETS)
        ports = Ports().shifted(offset)
        if take([*astuple(ports), *range(ports.metrics + 1, ports.metrics + _METRICS_PORTS)]):
            return offset
    raise AssertionError("no offset leaves all ports free")


def take(ports: Sequence[int]) -> bool:
    """Promise all of these ports to this process, if they are free and nobody's: else none."""
    with _DRAWING:
        locked: list[int] = []
        for port in ports:
            if port in _MINE or not is_free(port) or not _lock(port):
                for mine in locked:
                    fcntl.lockf(_file(), fcntl.LOCK_UN, 1, mine)
                return False
            locked.append(port)
        _MINE.update(locked)
        return True


def _lock(port: int) -> bool:
    try:
        fcntl.lockf(_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _file() -> int:
    """Open the file, once: the first descriptor that a process closes gives up all its locks on a file."""
    path = Path(tempfile.gettempdir(), f"polystream-test-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
