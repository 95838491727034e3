"""A server of MongoDB's protocol, from a wheel under the GPL: run as a process, never imported."""

import socket
import sys
import threading
import time
from typing import Final

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, Command, Engine, Site
from stack.engines.wheels import wheel_folder

_KNOCK_MAX_S: Final = 3.0
_KNOCK_INTERVAL_S: Final = 0.05


def _command(site: Site) -> Command:
    wheel_folder("secantus", "secantusdb")
    folder = site.folder("mongodb")
    return Command(
        argv=(
            *(sys.executable, "-m", "secantus"),
            *("--host", HOST, "--port", str(site.ports.mongodb), "--storage-path", str(folder / "data")),
            # Without it, up to 160 acknowledged documents were gone after a SIGKILL.
            "--sync-on-commit",
            *("--cache-size", "256M", "--log-level", "WARNING"),
        ),
        # Its own folder as home: a configuration file of the user's is not for this server.
        env=bare_environment() | {"HOME": str(folder)},
        cwd=folder,
    )


def _endpoint(site: Site) -> str:
    return f"mongodb://{HOST}:{site.ports.mongodb}/{site.postgres.db}"


def _knock(site: Site) -> None:
    """Let it end at once: told to stop, it waits two seconds for a thread that waits for one more connection."""
    threading.Thread(target=_connect_until_gone, args=(site.ports.mongodb,), daemon=True).start()


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


ENGINE = Engine(
    name="mongodb",
    ports=("mongodb",),
    command=_command,
    is_ready=lambda site: probes.mongodb_answers(HOST, site.ports.mongodb),
    environment=lambda site: {"MONGODB_URL": _endpoint(site)},
    endpoint=_endpoint,
    before_stop=_knock,
)
