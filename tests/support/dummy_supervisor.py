"""A small platform under a supervisor: `python -m tests.support.dummy_supervisor DATA_DIR FIRST_PORT FLAG...`.

One engine, `redis`; two services, `web` (serves HTTP) and `worker` (writes a file when it is ready, and one when it has
drained). Flags: `detached`; `broken` and `silent` make the worker end at its start or never become ready, `breakable`
makes it end at its start while there is a file `broken`; `stubborn` makes it ignore SIGTERM, `patient` gives it 6 s for
its end; `telling` gives it a health file as the platform's services have, in which it waits for `redis` while there is
a file `held`, and goes no more rounds once there is one named `stuck`; `unsettled` makes its last words those of one
that leaves something for the next start. With `building`, the supervisor has the lock and plans until there is a file
`built`.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mesh.settings import PostgresSettings
from stack import probes
from stack.engines import redis as redis_engine
from stack.engines.spec import HOST, CommandLine, ProcessSpec, StackContext, UnsettledError, nothing
from stack.ports import Ports
from stack.supervisor.__main__ import supervise
from stack.supervisor.plan import Plan
from stack.supervisor.register import user_register

_WEB = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_WORKER = """
import pathlib, signal, sys
folder, flags = pathlib.Path(sys.argv[1]), sys.argv[2:]
def drain(*_):
    if "stubborn" not in flags:
        (folder / "drained").touch()
        sys.exit(0)
signal.signal(signal.SIGTERM, drain)
if "broken" in flags or ("breakable" in flags and (folder / "broken").exists()):
    sys.exit("the worker has no work")
if "silent" not in flags:
    (folder / "working").touch()
while True:
    signal.pause()
"""
_TELLING = """
import pathlib, signal, sys, threading, time
from mesh.health.file import HealthFile
from mesh.health.part import PartHealth
from mesh.threads import CriticalThreads
folder = pathlib.Path(sys.argv[1])
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = CriticalThreads()
health = PartHealth("worker", "worker")
file = HealthFile(str(folder / "run" / "worker.ready.json"), health, threads)
file.start()
health.ready()
while not stop.wait(0.05):
    if (folder / "stuck").exists():
        (folder / "stuck").unlink()
        stop.wait()
    health.beat()
    if (folder / "held").exists():
        health.waiting("redis", "STORE_UNAVAILABLE", "the connection is refused")
    else:
        health.going_on("redis")
file.stop()
"""
_PROVISION = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write('provisioned\\n')"


def _python(*argv: str, stop_timeout_s: float = 5.0) -> Callable[[StackContext], CommandLine]:
    return lambda context: CommandLine(
        argv=(sys.executable, "-c", *argv), env=context.environment, cwd=context.work_dir, stop_timeout_s=stop_timeout_s
    )


def _stop_timeout_s(flags: list[str]) -> float:
    if "patient" in flags:
        return 6.0
    return 0.5 if "stubborn" in flags else 5.0


def _leave_something(_: StackContext) -> None:
    raise UnsettledError("2 commands go on at the next start: one, two")


def _build(folder: Path, flags: list[str]) -> None:
    """Take as long as a download or a build would."""
    while "building" in flags and not (folder / "built").exists():
        time.sleep(0.02)


def plan(data_dir: Path, first_port: int, flags: list[str]) -> Plan:
    """Return what the dummy platform consists of."""
    ports = replace(Ports(), redis=first_port, rest=first_port + 1)
    context = StackContext(data_dir, ports, PostgresSettings(), dict(os.environ), Path.cwd())
    engine = redis_engine.ENGINE
    web = ProcessSpec(
        name="web",
        ports=("rest",),
        command=_python(_WEB, str(ports.rest)),
        is_ready=lambda context: probes.http_answers(HOST, context.ports.rest, "/"),
    )
    worker = ProcessSpec(
        name="worker",
        ports=(),
        prepare=lambda context: (context.data_dir / "working").unlink(missing_ok=True),
        command=_python(_WORKER, str(data_dir), *flags, stop_timeout_s=_stop_timeout_s(flags)),
        is_ready=lambda context: (context.data_dir / "working").exists(),
        ready_timeout_s=1.0 if "silent" in flags else 30.0,
        before_stop=_leave_something if "unsettled" in flags else nothing,
    )
    if "telling" in flags:
        worker = ProcessSpec(
            name="worker",
            ports=(),
            command=_python(_TELLING, str(data_dir)),
            is_ready=lambda _: True,
            health_file=lambda context: context.data_dir / "run" / "worker.ready.json",
        )
    return Plan(
        context=context,
        engine_set="dummy",
        engines=(engine,),
        stages=((web,), (worker,)),
        provision=(("-c", _PROVISION, str(data_dir / "provisioned")),),
        port_offset=_offset(flags) or 0,
        settings={},
        is_healthy=lambda _: True,
        endpoints={"rest": f"http://{HOST}:{ports.rest}", "redis": engine.endpoint(context)},
    )


def main() -> int:
    """Run it."""
    data_dir, first_port, *flags = sys.argv[1:]
    folder = Path(data_dir)

    def make_plan() -> Plan:
        _build(folder, flags)
        return plan(folder, int(first_port), flags)

    offset = _offset(flags)
    return supervise(
        make_plan,
        folder,
        engines="dummy",
        port_offset=offset or 0,
        detached="detached" in flags,
        register=None if offset is None else user_register(),
    )


def _offset(flags: list[str]) -> int | None:
    """Return the port offset that a flag `offset=N` names; with one, the platform is in the user's register."""
    return next((int(flag.removeprefix("offset=")) for flag in flags if flag.startswith("offset=")), None)


if __name__ == "__main__":
    sys.exit(main())
