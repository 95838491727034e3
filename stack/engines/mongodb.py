"""A server of MongoDB's protocol, from a wheel under the GPL: run as a process, never imported."""

import re
import socket
import sys
import threading
import time
from typing import Final
from urllib.parse import quote

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext
from stack.engines.wheels import wheel_folder

_KNOCK_MAX_S: Final = 3.0
_KNOCK_INTERVAL_S: Final = 0.05


def _command(context: StackContext) -> CommandLine:
    wheel_folder("secantus", "secantusdb")
    folder = context.folder("mongodb")
    return CommandLine(
        argv=(
            *(sys.executable, "-m", "secantus"),
            *("--host", HOST, "--port", str(context.ports.mongodb), "--storage-path", str(folder / "data")),
            # Without it, up to 160 acknowledged documents were gone after a SIGKILL.
            "--sync-on-commit",
            *("--cache-size", "256M", "--log-level", "WARNING"),
        ),
        # Its own folder as home: a configuration file of the user's is not for this server.
        env=bare_environment() | {"HOME": str(folder)},
        cwd=folder,
    )


def _endpoint(context: StackContext) -> str:
    return f"mongodb://{HOST}:{context.ports.mongodb}/{quote(_database(context.postgres.db), safe='')}"


def _database(name: str) -> str:
    """Return the database's name, which is PostgreSQL's as far as MongoDB takes it."""
    return re.sub(r'[/\\. "$*<>:|?]', "_", name)


def _knock(context: StackContext) -> None:
    """Let it end at once: told to stop, it waits two seconds for a thread that waits for one more connection."""
    threading.Thread(target=_connect_until_gone, args=(context.ports.mongodb,), daemon=True).start()


def _connect_until_gone(port: int) -> None:
    give_up_s = time.monotonic() + _KNOCK_MAX_S
    while time.monotonic() < give_up_s:
        time.sleep(_KNOCK_INTERVAL_S)
        try:
            socket.create_connection((HOST, port), timeout=_KNOCK_INTERVAL_S).close()
        except TimeoutError:
            continue
        except OSError:
            return


ENGINE = EngineSpec(
    name="mongodb",
    ports=("mongodb",),
    command=_command,
    is_ready=lambda context: probes.mongodb_answers(HOST, context.ports.mongodb),
    environment=lambda context: {"MONGODB_URL": _endpoint(context)},
    endpoint=_endpoint,
    before_stop=_knock,
)
