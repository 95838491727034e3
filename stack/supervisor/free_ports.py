"""Telling free ports from taken ones, before anything is started."""

import socket
from collections.abc import Mapping

import psutil

from stack.engines.spec import HOST, StackError
from stack.ports import PORT_MAX

_OFFSETS = range(100, 13_000, 100)  # tried for the remedy; the highest port must stay below 65536


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback interface now."""
    with socket.socket() as probe:
        # As servers do: connections of a server that ended a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def require_free(ports: Mapping[str, int], offset: int) -> None:
    """Raise StackError that names every taken port, who has it, and what to add to `offset` for free ones."""
    taken = {name: port for name, port in ports.items() if not is_free(port)}
    if not taken:
        return
    told = ", ".join(f"{port} ({name}) is in use{_user_of(port)}" for name, port in taken.items())
    remedy = next(
        (free for free in _OFFSETS if all(port + free <= PORT_MAX and is_free(port + free) for port in ports.values())),
        None,
    )
    advice = f", or start with --port-offset {offset + remedy}" if remedy else ""
    raise StackError(f"ports are taken: {told}: stop what uses them{advice}")


def _user_of(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            here = connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,)
            if here and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # who it is, an ordinary user may not see
    return ""
