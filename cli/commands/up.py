"""`polystream up`: start the platform, show how it goes, and stay or leave."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

from cli import compose
from cli.arguments import one_of, whole_number
from cli.choosing import add_data_dir, option_of_started
from cli.compose_engine import ComposeError
from cli.display import has_display
from cli.folders import name_env_file, work_dir
from cli.progress import Progress
from stack.engines.process import appended, tail
from stack.engines.spec import StackError
from stack.environments import supervisor_environment
from stack.ports import OFFSET_MAX
from stack.supervisor.data_folder import require_owner, unwritable
from stack.supervisor.register import user_register
from stack.supervisor.state import RunFolder

_GATEWAYS_MAX: Final = 64
_LANES_MAX: Final = 6  # as many as `user_events` has partitions: more would have nothing to read


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--engines",
        type=one_of("embedded", "native", "external"),
        metavar="SET",
        help="embedded: from pip alone, the default; native: real engines as processes; "
        "external: what the environment names",
    )
    parser.add_argument(
        "--compose",
        action="store_true",
        help="with the external engines: start these, and all the rest, in containers by Docker Compose; "
        "leaves when it is ready",
    )
    parser.add_argument(
        "--gateways",
        type=whole_number(1, _GATEWAYS_MAX),
        metavar="N",
        help="run N gateways on the same ports; without it, as many as suit the machine's processors",
    )
    parser.add_argument(
        "--lanes",
        type=whole_number(1, _LANES_MAX),
        metavar="N",
        help="run N lane processes for each store, which share its work; one without it",
    )
    parser.add_argument("--edge", action="store_true", help="put Envoy before the gateways, on port 8443")
    add_data_dir(parser)
    parser.add_argument(
        "--port-offset", type=whole_number(0, OFFSET_MAX), default=0, metavar="N", help="move every port by N"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the dashboard")
    parser.add_argument("--detach", action="store_true", help="leave when it is ready; `down` stops it")


def run(arguments: argparse.Namespace) -> int:
    """Start the platform. Without `--detach`, stay until it is stopped."""
    began = _start_s()
    progress = Progress()
    if arguments.compose:
        return _run_compose(arguments, progress, began)
    arguments.engines = arguments.engines or "embedded"
    data_dir = arguments.data_dir.resolve()
    log = data_dir / "logs" / "supervisor.log"
    try:
        require_owner(data_dir)
        supervisor = _start_supervisor(arguments, log)
    except StackError as error:
        progress.failed(str(error))
        return 1
    except OSError as error:
        progress.failed(unwritable(data_dir, error))
        return 1
    is_asked_to_stop = _pass_signals_on(supervisor)
    for event in _events(supervisor):
        if is_asked_to_stop():
            progress.stopping()
        progress.show(event)
        if event["event"] == "ready":
            option = option_of_started(data_dir, arguments.port_offset)
            progress.ready(time.monotonic() - began, event["endpoints"], option)
            if arguments.detach:
                return 0
            if not arguments.no_browser and has_display():
                webbrowser.open(event["endpoints"]["dashboard"])
    code = supervisor.wait()
    if not progress.is_told:
        progress.failed(f"the supervisor ended with {code}. The end of {log}:\n{tail(log)}")
    progress.close()
    return 0 if code == 0 else 1


def _start_s() -> float:
    """Return when this start began, by the clock that never jumps: `start.py` hands on when it began itself."""
    try:
        return float(os.environ["POLYSTREAM_START_TIME"])
    except (KeyError, ValueError):
        return time.monotonic()


def _run_compose(arguments: argparse.Namespace, progress: Progress, began: float) -> int:
    """Start the platform in containers, which need nobody to stay."""
    if arguments.engines not in {None, "external"}:
        progress.failed(f"--compose brings engines of its own: leave --engines {arguments.engines} out")
        return 2
    if arguments.lanes:
        progress.failed("--compose has the lanes that stand in deploy/compose/compose.yaml: leave --lanes out")
        return 2
    if arguments.gateways:
        progress.failed("--compose has the gateways that stand in deploy/compose/compose.yaml: leave --gateways out")
        return 2
    data_dir = arguments.data_dir.resolve()
    try:
        endpoints = compose.up(data_dir, arguments.port_offset)
    except (ComposeError, StackError, OSError) as error:
        progress.failed(str(error))
        return 1
    progress.ready(time.monotonic() - began, endpoints, option_of_started(data_dir, arguments.port_offset))
    if not arguments.no_browser and has_display():
        webbrowser.open(str(endpoints["dashboard"]))
    return 0


def _start_supervisor(arguments: argparse.Namespace, log: Path) -> subprocess.Popen[bytes]:
    options = ["--engines", arguments.engines, "--data-dir", str(arguments.data_dir.resolve())]
    options += ["--port-offset", str(arguments.port_offset)]
    options += ["--gateways", str(arguments.gateways)] if arguments.gateways else []
    options += ["--lanes", str(arguments.lanes)] if arguments.lanes else []
    options += ["--edge"] if arguments.edge else []
    options += ["--detached"] if arguments.detach else []
    register = user_register()
    options += ["--register-dir", str(register.folder)] if register else []
    name_env_file()
    folder = RunFolder(arguments.data_dir.resolve())
    folder.make()
    # Taken here and handed on: whoever looks finds, from now on, that a platform starts.
    with folder.lock() as lock, appended(log) as output:
        return subprocess.Popen(  # noqa: S603 - its arguments are checked by the parser
            [sys.executable, "-m", "stack.supervisor", *options, "--lock-descriptor", str(lock.descriptor)],
            pass_fds=(lock.descriptor,),
            # It stops when this end of the pipe is closed, however this process ends.
            stdin=subprocess.DEVNULL if arguments.detach else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=work_dir(),
            env=supervisor_environment(),
            start_new_session=True,  # Ctrl-C comes to this process, which passes it on
        )


def _pass_signals_on(supervisor: subprocess.Popen[bytes]) -> Callable[[], bool]:
    """Let SIGINT, SIGTERM and a closed terminal stop the supervisor; the second one kills it, with its children.

    Returns what tells whether one came. The handler shows nothing: it may have come in the middle of a line.
    """
    asked = False

    def handle(number: int, __: FrameType | None) -> None:
        nonlocal asked
        again = asked and number != signal.SIGHUP  # which may come twice, from the shell and from the system
        supervisor.send_signal(signal.SIGKILL if again else signal.SIGTERM)
        asked = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, handle)
    return lambda: asked


def _events(supervisor: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert supervisor.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in supervisor.stdout:
        yield json.loads(line)
