"""The supervisor itself: engines, then provisioning, then services; all of it again in reverse."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from mesh.setting_values import exporters_in
from stack.engines import process as processes
from stack.engines.spec import HOST, CommandLine, ProcessSpec, StackError
from stack.supervisor.control import ControlServer
from stack.supervisor.plan import Plan
from stack.supervisor.publisher import Publisher
from stack.supervisor.state import PlatformState, ProcessState
from stack.supervisor.supervised_process import ChildExits, SupervisedProcess

Report = Callable[[dict[str, Any]], None]

_PROVISION_TIMEOUT_S = 60.0
_LOG_CHECK_S = 10.0
_MEND_INTERVAL_S = 2.0
_HEALTHY_MAX_S = 3.0  # for the parts' health to have gone round, once all are ready
_HEALTH_INTERVAL_S = 0.05


class Supervisor:
    """Runs one platform."""

    def __init__(self, plan: Plan, state: PlatformState, publisher: Publisher, report: Report) -> None:
        """`state` is the platform's so far; it is kept up to date, and told by `publisher`."""
        self._plan = plan
        self._publisher = publisher
        self._report = report
        self._exits = ChildExits()
        self._stop = asyncio.Event()
        self._engines = [self._supervised(engine) for engine in plan.engines]
        self._stages = [[self._supervised(spec) for spec in stage] for stage in plan.stages]
        self._services = [process for stage in self._stages for process in stage]
        self._state = state
        state.engines, state.port_offset = plan.engine_set, plan.port_offset
        state.endpoints, state.environment = plan.endpoints, plan.settings
        state.processes = [process.state for process in (*self._engines, *self._services)]
        state.detail = "starts engines and services"

    def stop(self) -> None:
        """Ask the supervisor to stop everything and end."""
        self._stop.set()

    async def run(self) -> int:
        """Run until asked to stop: 0. Where it does not start, or not all could be finished, say why and return 1."""
        loop = asyncio.get_running_loop()
        self._exits.install(loop)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        starting, stopping = asyncio.create_task(self._start()), asyncio.create_task(self._stop.wait())
        chores = [asyncio.create_task(self._keep_logs_small()), asyncio.create_task(self._mend())]
        control = ControlServer(self._state, (*self._engines, *self._services), self._plan.context)
        self._publisher.hand_on(control.take)
        code = 0
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._tell({"event": "ready", "endpoints": self._plan.endpoints})
            await stopping
        except StackError as error:
            self._state.status, self._state.detail = "failed", str(error)
            self._tell({"event": "failed", "message": str(error)})
            code = 1
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.wait([starting, stopping])
            await self._stop_all()
            self._publisher.hand_on(None)
            await control.close()
            for task in chores:
                task.cancel()
            await asyncio.wait(chores)
        return code

    async def _start(self) -> None:
        # Provisioning waits for what it needs: its imports cost nothing beside the engines' start.
        await self._phase("engines", _all([*(process.start() for process in self._engines), self._provision()]))
        await self._phase("services", _all(process.start() for process in self._services))
        await self._wait_for_health()
        self._state.detail = ""
        self._judge()

    async def _wait_for_health(self) -> None:
        """Wait until the parts' health has gone round, so that the first who asks hears of all; 3 s at most."""
        give_up_s = time.monotonic() + _HEALTHY_MAX_S
        while time.monotonic() < give_up_s:
            if await asyncio.to_thread(self._plan.is_healthy, self._plan.context):
                return
            await asyncio.sleep(_HEALTH_INTERVAL_S)

    async def _phase(self, name: str, work: Awaitable[None]) -> None:
        began = time.monotonic()
        await work
        self._tell({"event": "phase", "name": name, "seconds": round(time.monotonic() - began, 2)})

    async def _provision(self) -> None:
        await _all(self._run_to_end(arguments) for arguments in self._plan.provision)

    async def _run_to_end(self, arguments: tuple[str, ...]) -> None:
        """Run one step of the provisioning. Raises StackError when it fails."""
        context = self._plan.context
        name, log = f"python {' '.join(arguments)}", context.log_path("provision")
        command = CommandLine(argv=(sys.executable, *arguments), env=context.environment, cwd=context.work_dir)
        try:
            process = processes.spawn(command, log)
        except OSError as error:
            raise StackError(f"`{name}` can't be started: {error}") from error
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

    async def _keep_logs_small(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_S)
            for process in (*self._engines, *self._services):
                with contextlib.suppress(OSError):
                    processes.shorten(self._plan.context.log_path(process.spec.name))

    async def _mend(self) -> None:
        while True:
            await asyncio.sleep(_MEND_INTERVAL_S)
            self._publisher.mend()

    async def _stop_all(self) -> None:
        if self._state.status != "failed":
            self._state.status, self._state.detail = "stopping", ""
        for stage in (*self._stages, self._engines):
            await asyncio.gather(*(process.stop() for process in stage))
        # Several parts may tell of the same.
        self._state.unsettled = "; ".join(dict.fromkeys(p.unsettled for p in self._services if p.unsettled))
        if self._state.status != "failed":
            self._state.status = "stopped"
        self._tell({"event": "stopped"} | ({"message": self._state.unsettled} if self._state.unsettled else {}))

    def _supervised(self, spec: ProcessSpec) -> SupervisedProcess:
        supervised = SupervisedProcess(spec, self._plan.context, self._exits, self._changed)
        port = spec.metrics_port(self._plan.context)
        if port is not None and "prometheus" in exporters_in(self._plan.settings.get("OTEL_METRICS_EXPORTER", "")):
            supervised.state.metrics_url = f"http://{HOST}:{port}/metrics"
        return supervised

    def _changed(self, process: ProcessState) -> None:
        if self._state.status in {"ready", "degraded"}:
            self._judge()
        self._tell(
            {
                "event": "process",
                "name": process.name,
                "status": process.status,
                "pid": process.pid,
                "detail": process.detail,
            }
        )

    def _judge(self) -> None:
        unwell = [part.state for part in (*self._engines, *self._services) if part.state.status != "ready"]
        self._state.status = "degraded" if unwell else "ready"
        self._state.detail = "; ".join(
            f"{part.name} is {part.status}{f': {part.detail}' if part.detail else ''}" for part in unwell
        )

    def _tell(self, event: dict[str, Any]) -> None:
        self._publisher.tell(self._state)
        self._report(event)


async def _all(starts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all; the first error ends the rest, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
