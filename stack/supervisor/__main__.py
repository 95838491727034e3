"""The supervisor's process: `python -m stack.supervisor`, started by `polystream up`.

Writes events to standard output as JSON lines. Unless detached, it stops when its standard input is closed: whoever
started it is gone.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from stack.engines import provide
from stack.engines.spec import StackError
from stack.supervisor.events import EventPipe, log_event
from stack.supervisor.free_ports import require_free
from stack.supervisor.plan import Plan, make_plan
from stack.supervisor.reach import wait_for_engines
from stack.supervisor.room import NEEDS, require_room
from stack.supervisor.stale_processes import end_stale_processes
from stack.supervisor.state import RunFolder
from stack.supervisor.supervisor import Report, Supervisor

_STDIN, _STDOUT = 0, 1


def main() -> int:
    """Read the arguments and run the platform; the exit code is 0 when it was stopped on request."""
    parser = argparse.ArgumentParser(prog="python -m stack.supervisor")
    parser.add_argument("--engines", required=True)
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--port-offset", required=True, type=int)
    parser.add_argument("--gateways", type=int)
    parser.add_argument("--edge", action="store_true")
    parser.add_argument("--detached", action="store_true")
    arguments = parser.parse_args()
    data_dir = arguments.data_dir.resolve()

    def plan_with_room() -> Plan:
        made = make_plan(
            arguments.engines, data_dir, arguments.port_offset, gateways=arguments.gateways, edge=arguments.edge
        )
        require_room(data_dir, NEEDS[made.engine_set])
        return made

    return supervise(plan_with_room, data_dir, detached=arguments.detached)


def supervise(plan: Callable[[], Plan], data_dir: Path, *, detached: bool) -> int:
    """Run a platform until it is asked to stop. Whatever keeps it from starting is told as an event."""
    pipe = EventPipe(_STDOUT)

    def report(event: dict[str, Any]) -> None:
        pipe.send(event)
        log_event(event)

    folder = RunFolder(data_dir)
    try:
        folder.make()
        with folder.lock():
            made = plan()
            for note in made.notes:
                report({"event": "note", "message": note})
            _make_room(made, folder, report)
            with _stoppable():
                provide(made.engine_set, lambda message: report({"event": "note", "message": message}))
                if not made.engines:
                    wait_for_engines(lambda message: report({"event": "note", "message": message}))
            return asyncio.run(_run(made, folder, report, detached=detached))
    except StackError as error:
        report({"event": "failed", "message": str(error)})
        return 1
    except _StoppedError:
        report({"event": "stopped"})
        return 0


class _StoppedError(Exception):
    """It was asked to stop before there was anything to stop."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the block."""

    def stop(_: int, __: FrameType | None) -> None:
        raise _StoppedError

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_room(plan: Plan, folder: RunFolder, report: Report) -> None:
    """End what an earlier supervisor left, then make sure of the ports. Raises StackError."""
    before = folder.read()
    ended = end_stale_processes(before) if before else []
    if ended:
        report({"event": "note", "message": f"ended what an earlier run had left: {', '.join(ended)}"})
    specs = (*plan.engines, *(spec for stage in plan.stages for spec in stage))
    # Once each: gateways share theirs.
    names = dict.fromkeys(name for spec in specs for name in spec.ports)
    require_free(plan.context.ports, tuple(names), plan.port_offset)


async def _run(plan: Plan, folder: RunFolder, report: Report, *, detached: bool) -> int:
    supervisor = Supervisor(plan, folder, report)

    def stop_when_closed() -> None:
        if not os.read(_STDIN, 1):
            supervisor.stop()

    if not detached:
        asyncio.get_running_loop().add_reader(_STDIN, stop_when_closed)
    return await supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
