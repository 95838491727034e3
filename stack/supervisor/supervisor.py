"""The supervisor itself: engines, then provisioning, then services; all of it again in reverse."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from mesh.backoff import Backoff
from stack.engines import process as processes
from stack.engines.spec import CommandLine, ProcessSpec, StackError
from stack.supervisor.plan import Plan
from stack.supervisor.state import PlatformState, ProcessState, RunFolder, start_id_of
from stack.supervisor.supervised_process import ChildExits, SupervisedProcess

Report = Callable[[dict[str, Any]], None]

_PROVISION_TIMEOUT_S = 60.0
_PROVISION_PAUSE_FIRST_S = 1.0  # before it is tried again
_PROVISION_PAUSE_MAX_S = 5.0
_LOG_CHECK_S = 10.0


class Supervisor:
    """Runs one platform."""

    def __init__(self, plan: Plan, folder: RunFolder, report: Report) -> None:
        self._plan = plan
        self._folder = folder
        self._report = report
        self._exits = ChildExits()
        self._stop = asyncio.Event()
        self._engines = [self._supervised(engine) for engine in plan.engines]
        self._stages = [[self._supervised(spec) for spec in stage] for stage in plan.stages]
        self._services = [process for stage in self._stages for process in stage]
        self._state = PlatformState(
            pid=os.getpid(),
            start_id=start_id_of(os.getpid()) or "",
            engines=plan.engine_set,
            port_offset=plan.port_offset,
            endpoints=plan.endpoints,
            environment=plan.settings,
            processes=[process.state for process in (*self._engines, *self._services)],
        )

    def stop(self) -> None:
        """Ask the supervisor to stop everything and end."""
        self._stop.set()

    async def run(self) -> int:
        """Run until asked to stop: 0. Where the platform does not start, say why and return 1."""
        loop = asyncio.get_running_loop()
        self._exits.install(loop)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        starting, stopping = asyncio.create_task(self._start()), asyncio.create_task(self._stop.wait())
        trimming = asyncio.create_task(self._keep_logs_small())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._tell({"event": "ready", "endpoints": self._plan.endpoints})
            await stopping
        except StackError as error:
            self._state.status = "failed"
            self._tell({"event": "failed", "message": str(error)})
            return 1
        else:
            return 0
        finally:
            for task in (starting, stopping, trimming):
                task.cancel()
            await asyncio.wait([starting, stopping, trimming])
            await self._stop_all()

    async def _start(self) -> None:
        # Provisioning waits for what it needs: its imports cost nothing beside the engines' start.
        await self._phase("engines", _all([*(process.start() for process in self._engines), self._provision()]))
        await self._phase("services", _all(process.start() for process in self._services))
        self._state.status = "ready"

    async def _phase(self, name: str, work: Awaitable[None]) -> None:
        began = time.monotonic()
        await work
        self._tell({"event": "phase", "name": name, "seconds": round(time.monotonic() - began, 2)})

    async def _provision(self) -> None:
        await _all(self._run_to_end(arguments) for arguments in self._plan.provision)

    async def _run_to_end(self, arguments: tuple[str, ...]) -> None:
        """Run one step of the provisioning. Raises StackError when it fails."""
        context = self._plan.context
        name, log = f"python {' '.join(arguments)}", context.log("provision")
        command = CommandLine(argv=(sys.executable, *arguments), env=context.environment, cwd=context.work_dir)
        process = processes.spawn(command, log)
        try:
            code = await asyncio.wait_for(self._exits.of(process), _PROVISION_TIMEOUT_S)
        except TimeoutError as error:
            raise StackError(f"`{name}` takes longer than {_PROVISION_TIMEOUT_S:.0f} s; see {log}") from error
        finally:
            if process.poll() is None:
                processes.kill(process)
                process.wait()
        if code != 0:
            told = processes.last_error(log)
            raise StackError(
                f"{told}; all that it wrote is in {log}"
                if told
                else f"`{name}` ended with {code}. The end of {log}:\n{processes.tail(log)}"
            )

    async def _provision_again(self) -> None:
        """Put back what a volatile engine has forgotten, however often that takes."""
        pauses = Backoff(_PROVISION_PAUSE_FIRST_S, _PROVISION_PAUSE_MAX_S)
        while True:
            try:
                await self._provision()
            except StackError as error:
                self._tell({"event": "note", "message": str(error)})
                await asyncio.sleep(pauses.next_s())
            else:
                break
        # Their clients would wait at offsets of topics that are no more. Killing them is safe: effects are bound to
        # correlation IDs, so that a command half done is done once.
        for process in self._services:
            if process.spec.follows_broker:
                process.begin_anew()

    async def _keep_logs_small(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_S)
            for process in (*self._engines, *self._services):
                processes.shorten(self._plan.context.log(process.spec.name))

    async def _stop_all(self) -> None:
        if self._state.status != "failed":
            self._state.status = "stopping"
        for stage in (*self._stages, self._engines):
            await asyncio.gather(*(process.stop() for process in stage))
        if self._state.status != "failed":
            self._state.status = "stopped"
        self._tell({"event": "stopped"})

    def _supervised(self, spec: ProcessSpec) -> SupervisedProcess:
        return SupervisedProcess(spec, self._plan.context, self._exits, self._changed, self._provision_again)

    def _changed(self, process: ProcessState, detail: str) -> None:
        if self._state.status in {"ready", "degraded"}:
            well = all(kept.state.status == "ready" for kept in (*self._engines, *self._services))
            self._state.status = "ready" if well else "degraded"
        self._tell(
            {
                "event": "process",
                "name": process.name,
                "status": process.status,
                "pid": process.pid,
                "detail": detail,
            }
        )

    def _tell(self, event: dict[str, Any]) -> None:
        self._folder.write(self._state)
        self._report(event)


async def _all(starts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all; the first error ends the rest, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
