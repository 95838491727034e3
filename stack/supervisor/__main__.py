"""The supervisor's process: `python -m stack.supervisor`, started by `polystream up`.

Writes events to standard output as JSON lines. Unless detached, it stops when its standard input is closed: whoever
started it is gone.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from stack.engines import provide
from stack.engines.spec import StackError
from stack.supervisor.events import EventPipe, log_event
from stack.supervisor.free_ports import is_free, require_free
from stack.supervisor.plan import Plan, make_plan
from stack.supervisor.publisher import Publisher
from stack.supervisor.reach import wait_for_engines
from stack.supervisor.register import Register
from stack.supervisor.room import NEEDS, require_room
from stack.supervisor.stale_processes import end_stale_processes
from stack.supervisor.state import PlatformState, RunFolder, start_id_of
from stack.supervisor.supervisor import Report, Supervisor

_STDIN, _STDOUT = 0, 1
_ENDS_WITHIN_S = 5.0
_ENDS_INTERVAL_S = 0.05


def main() -> int:
    """Read the arguments and run the platform; the exit code is 0 when it was stopped on request."""
    parser = argparse.ArgumentParser(prog="python -m stack.supervisor")
    parser.add_argument("--engines", required=True)
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--port-offset", required=True, type=int)
    parser.add_argument("--gateways", type=int)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--edge", action="store_true")
    parser.add_argument("--detached", action="store_true")
    parser.add_argument("--lock-descriptor", type=int)  # of the data folder's lock, taken already
    parser.add_argument("--register-dir", type=Path)  # of the user's register; without it, nobody else is told
    arguments = parser.parse_args()
    data_dir = arguments.data_dir.resolve()

    def plan_with_room() -> Plan:
        made = make_plan(
            arguments.engines,
            data_dir,
            arguments.port_offset,
            gateways=arguments.gateways,
            edge=arguments.edge,
            lanes=arguments.lanes,
        )
        require_room(data_dir, NEEDS[made.engine_set])
        return made

    return supervise(
        plan_with_room,
        data_dir,
        engines=arguments.engines,
        port_offset=arguments.port_offset,
        detached=arguments.detached,
        lock_descriptor=arguments.lock_descriptor,
        register=Register(arguments.register_dir) if arguments.register_dir else None,
    )


def supervise(
    plan: Callable[[], Plan],
    data_dir: Path,
    *,
    engines: str,
    port_offset: int,
    detached: bool,
    lock_descriptor: int | None = None,
    register: Register | None = None,
) -> int:
    """Run a platform until it is asked to stop. Whatever keeps it from starting is told as an event.

    `engines` and `port_offset` are those of the plan, and told before it is made. `lock_descriptor` is the data
    folder's lock, where whoever started this process has taken it. The platform is in `register` while it runs.
    """
    pipe = EventPipe(_STDOUT)

    def report(event: dict[str, Any]) -> None:
        pipe.send(event)
        log_event(event)

    folder = RunFolder(data_dir)
    try:
        with _stoppable():
            folder.make()
            with folder.lock(lock_descriptor) as lock:
                lock.sign()
                publisher = Publisher(folder, lock, lambda message: report({"event": "note", "message": message}))
                state = PlatformState(os.getpid(), start_id_of(os.getpid()) or "", engines, port_offset)
                return _supervise(plan, folder, publisher, report, state=state, register=register, detached=detached)
    except StackError as error:  # the folder is another platform's, or can't be made
        report({"event": "failed", "message": str(error)})
        return 1
    except _StoppedError:
        report({"event": "stopped"})
        return 0


def _supervise(
    plan: Callable[[], Plan],
    folder: RunFolder,
    publisher: Publisher,
    report: Report,
    *,
    state: PlatformState,
    register: Register | None,
    detached: bool,
) -> int:
    before = folder.read()
    state.detail = "makes ready for its start"

    def report_beginning(event: dict[str, Any]) -> None:
        state.detail = event.get("message", state.detail)
        publisher.tell(state)
        report(event)

    def note(message: str) -> None:
        report_beginning({"event": "note", "message": message})

    try:
        publisher.tell(state)
        if register is not None:  # whoever finds the entry finds who answers
            publisher.keep_registered(register)
        made = plan()
        for message in made.notes:
            note(message)
        _make_room(made, before, report_beginning)
        provide(made.engine_set, note)
        if not made.engines:
            wait_for_engines(note)
        return asyncio.run(_run(Supervisor(made, state, publisher, report), detached=detached))
    except StackError as error:
        state.status, state.detail = "failed", str(error)
        publisher.tell(state)
        report({"event": "failed", "message": str(error)})
        return 1
    except _StoppedError:
        state.status, state.detail = "stopped", ""
        publisher.tell(state)
        report({"event": "stopped"})
        return 0
    finally:
        publisher.finish()


class _StoppedError(Exception):
    """It was asked to stop before there was anything to stop."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the block."""

    def stop(_: int, __: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # it ends already
        raise _StoppedError

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_room(plan: Plan, before: PlatformState | None, report: Report) -> None:
    """End what an earlier supervisor left, then make sure of the ports. Raises StackError."""
    ended = end_stale_processes(before) if before else []
    if ended:
        report({"event": "note", "message": f"ended what an earlier run had left: {', '.join(ended)}"})
    specs = (*plan.engines, *(spec for stage in plan.stages for spec in stage))
    ports = {name: getattr(plan.context.ports, name) for spec in specs for name in spec.ports}
    if before is not None and before.status not in {"stopped", "failed"}:
        # What an earlier run had started ends by itself, a moment after its supervisor was killed.
        give_up_s = time.monotonic() + _ENDS_WITHIN_S
        while time.monotonic() < give_up_s and not all(map(is_free, ports.values())):
            time.sleep(_ENDS_INTERVAL_S)
    require_free(ports, plan.port_offset)


async def _run(supervisor: Supervisor, *, detached: bool) -> int:
    def stop_when_closed() -> None:
        if not os.read(_STDIN, 1):
            supervisor.stop()

    if not detached:
        asyncio.get_running_loop().add_reader(_STDIN, stop_when_closed)
    return await supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
