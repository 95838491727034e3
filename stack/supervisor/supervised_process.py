"""Keeping one process alive: start it, wait until it is ready, start it again when it dies."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Callable

from mesh.backoff import Backoff
from mesh.health.report import HealthState
from stack.engines import process as processes
from stack.engines.spec import CommandLine, ProcessSpec, StackContext, StackError, UnsettledError
from stack.supervisor.standstill import BEATS_MAX_STILL_S, SILENCE_MAX_S, HealthFileWatch, SilenceWatch
from stack.supervisor.state import ProcessState, start_id_of

_PROBE_INTERVAL_S = 0.02
_PROBE_INTERVAL_MAX_S = 0.1
_HEALTH_INTERVAL_S = 2.0
_UNHEALTHY_AFTER = 3  # failed probes in a row: one may be slow on a busy machine
_EXIT_CHECK_S = 1.0
_EARLY_ENDS_MAX = 3  # in the first start; later starts are tried for ever
_PAUSE_FIRST_S = 0.1  # before it is started again; it doubles with each death
_PAUSE_MAX_S = 5.0
_RESTARTABLE = {"ready", "degraded", "unhealthy"}
_AS_ASKED = "it is started again, as was asked for"
_LIVED_S = 10.0  # a process that lived so long ends the series of early deaths


class ChildExits:
    """Tells of children that have ended, by SIGCHLD and without a thread for each."""

    def __init__(self) -> None:
        self._woken: set[asyncio.Event] = set()

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to SIGCHLD on the main thread's loop."""
        loop.add_signal_handler(signal.SIGCHLD, self._wake)

    async def of(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until the process has ended, and return its exit code, or minus its signal."""
        woken = asyncio.Event()
        self._woken.add(woken)
        try:
            while (code := process.poll()) is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), _EXIT_CHECK_S)
                woken.clear()
            return code
        finally:
            self._woken.discard(woken)

    def _wake(self) -> None:
        for event in self._woken:
            event.set()


class SupervisedProcess:
    """A process that is started by its specification, and kept alive."""

    def __init__(
        self,
        spec: ProcessSpec,
        context: StackContext,
        exits: ChildExits,
        changed: Callable[[ProcessState], None],
    ) -> None:
        """Keep the process of `spec` alive; `changed` is told of every change of state."""
        self.spec = spec
        self.state = ProcessState(
            spec.name, kind="engine" if hasattr(spec, "endpoint") else "service", status="waiting"
        )
        self.unsettled = ""  # what goes on at the next start, in one sentence
        self._context = context
        self._exits = exits
        self._changed = changed
        self._process: subprocess.Popen[bytes] | None = None
        self._command: CommandLine | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._killed_for = ""
        self._began_s: float | None = None  # by the clock that never jumps

    @property
    def uptime_s(self) -> float | None:
        """For how long the process runs, in seconds; None where none does."""
        return None if self._began_s is None else time.monotonic() - self._began_s

    async def start(self) -> None:
        """Start the process and wait until it is ready; from then on it is kept alive.

        Raises StackError, with the end of its log, when it ends three times or is not ready in time.
        """
        deadline = time.monotonic() + self.spec.ready_timeout_s
        backoff = Backoff(_PAUSE_FIRST_S, _PAUSE_MAX_S)
        for attempt in range(1, _EARLY_ENDS_MAX + 1):
            process = await self._spawn()
            ready = await self._until_ready(process, deadline)
            if ready:
                self._tell("ready")
                self._keeping = asyncio.create_task(self._keep(process, backoff), name=f"keep {self.spec.name}")
                return
            if process.poll() is None:
                raise self._failure(f"is not ready after {self.spec.ready_timeout_s:.0f} s")
            self._note_end(process)
            if attempt < _EARLY_ENDS_MAX:
                await asyncio.sleep(pause_after(0.0, backoff))
        raise self._failure(f"ended at its start, at last with {self.state.last_exit}")

    async def restart(self) -> None:
        """Stop the process as `stop` does, and start it again; returns when it is ready. That is no crash: none counts.

        Raises StackError where it starts or stops already, and where it ends three times or is not ready in time: it
        is tried on then, as after any death.
        """
        if self._keeping is None or self._keeping.done() or self.state.status not in _RESTARTABLE:
            raise StackError(f"{self.spec.name} is {self.state.status}: it can be started again once it is ready")
        self._keeping.cancel()
        self._tell("stopping", _AS_ASKED)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ready.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever asked may have gone
        self._keeping = asyncio.create_task(self._restart(self._keeping, ready), name=f"keep {self.spec.name}")
        await asyncio.wait([ready])
        if ready.cancelled():
            raise StackError("the platform stops")
        ready.result()

    async def _restart(self, keeping: asyncio.Task[None], ready: "asyncio.Future[None]") -> None:
        try:
            await asyncio.wait([keeping])
            await self._end(_AS_ASKED)
            self.unsettled = ""  # the platform goes on: so does what was open
            backoff = Backoff(_PAUSE_FIRST_S, _PAUSE_MAX_S)
            process = await self._revive(backoff, ready)
        finally:
            ready.cancel()  # where nobody is told yet
        await self._keep(process, backoff)

    async def stop(self) -> None:
        """Stop the process: let it finish, ask it to stop, kill it when its time is up."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._end()

    async def _end(self, why: str = "") -> None:
        process, command = self._process, self._command
        if process is None or command is None or process.poll() is not None:
            self._tell("stopped")
            return
        self._tell("stopping", why)
        if self._keeping:  # it was ready: it may have work in hand
            await self._say_goodbye()
        processes.send(process, command.stop_signal)
        try:
            await asyncio.wait_for(self._exits.of(process), command.stop_timeout_s)
        except TimeoutError:
            processes.kill(process)
            await self._exits.of(process)
        self.state.last_exit = process.returncode
        self._forget()
        self._tell("stopped")

    async def _say_goodbye(self) -> None:
        try:
            await asyncio.to_thread(self.spec.before_stop, self._context)
        except UnsettledError as error:
            self.unsettled = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process is to be stopped
            self._tell("stopping", f"it could not be asked to finish: {error}")

    async def _keep(self, process: subprocess.Popen[bytes], backoff: Backoff) -> None:
        while True:
            began_s = time.monotonic()
            await self._watch(process)
            self._note_end(process)
            await asyncio.sleep(pause_after(time.monotonic() - began_s, backoff))
            process = await self._revive(backoff)

    async def _revive(self, backoff: Backoff, ready: "asyncio.Future[None] | None" = None) -> subprocess.Popen[bytes]:
        """Start the process until it is ready; `ready` hears of that, or else of three tries that failed."""
        failed = 0
        while True:
            began_s = time.monotonic()
            try:
                process = await self._spawn()
                if await self._until_ready(process, began_s + self.spec.ready_timeout_s):
                    break
                if process.poll() is None:
                    await self._kill(process, f"was not ready after {self.spec.ready_timeout_s:.0f} s")
                self._note_end(process)
            except StackError as error:
                self._tell("restarting", str(error))
            failed += 1
            if ready and not ready.done() and (failed == _EARLY_ENDS_MAX or self._is_late(began_s)):
                ready.set_exception(self._failure(f"does not come up, and is tried on: {self.state.detail}"))
            await asyncio.sleep(pause_after(time.monotonic() - began_s, backoff))
        self._tell("ready")
        if ready and not ready.done():
            ready.set_result(None)
        return process

    def _is_late(self, began_s: float) -> bool:
        """Tell whether a start took all the time that it had."""
        return time.monotonic() - began_s >= self.spec.ready_timeout_s

    async def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the process has ended; until then, look at it, show how it is, and end it if it stands still."""
        exit_ = asyncio.create_task(self._exits.of(process))
        look = _Look(self.spec, self._context, process.pid)
        try:
            while not (await asyncio.wait([exit_], timeout=_HEALTH_INTERVAL_S))[0]:
                status, detail = await asyncio.to_thread(look.at, self.state.status)
                if (status, detail) != (self.state.status, self.state.detail) and not exit_.done():
                    self._tell(status, detail)
                if look.standstill:
                    await self._kill(process, look.standstill)
        finally:
            exit_.cancel()

    async def _kill(self, process: subprocess.Popen[bytes], cause: str) -> None:
        self._killed_for = f"{cause}, and was killed"
        processes.kill(process)
        await self._exits.of(process)

    async def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the process. Raises StackError, whatever keeps it from starting: it is tried again."""
        self._tell("starting", self.state.detail)
        try:
            await asyncio.to_thread(self.spec.prepare, self._context)
            self._command = self.spec.command(self._context)
            # From this thread, not from a worker: the child dies with the thread that started it.
            self._process = processes.spawn(self._command, self._context.log_path(self.spec.name))
        except StackError:
            raise
        except Exception as error:
            raise StackError(f"{self.spec.name} can't be started: {error}") from error
        self._began_s = time.monotonic()
        self.state.pid = self._process.pid
        self.state.start_id = start_id_of(self._process.pid)
        self._tell("starting", self.state.detail)
        return self._process

    async def _until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Probe until it is ready, has ended, or the deadline has passed."""
        pauses = Backoff(_PROBE_INTERVAL_S, _PROBE_INTERVAL_MAX_S)
        look = _Look(self.spec, self._context, process.pid)
        while process.poll() is None and time.monotonic() < deadline:
            if await asyncio.to_thread(look.is_ready):
                return True
            await asyncio.sleep(pauses.next_s())
        return False

    def _note_end(self, process: subprocess.Popen[bytes]) -> None:
        self.state.last_exit = process.returncode
        self.state.last_cause, self._killed_for = self._killed_for or _describe_exit(process.returncode), ""
        self.state.restarts += 1
        self._forget()
        self._tell("restarting", self.state.last_cause)

    def _forget(self) -> None:
        self.state.pid = self.state.start_id = self._began_s = None

    def _tell(self, status: str, detail: str = "") -> None:
        if status != self.state.status:
            self.state.since_time_s = time.time()
        self.state.status, self.state.detail = status, detail
        self._changed(self.state)

    def _failure(self, what: str) -> StackError:
        log = self._context.log_path(self.spec.name)
        return StackError(f"{self.spec.name} {what}. The end of {log}:\n{processes.tail(log)}")


class _Look:
    """How one process is, seen from outside: whether it answers, and what it says of itself."""

    def __init__(self, spec: ProcessSpec, context: StackContext, pid: int) -> None:
        self._spec = spec
        self._context = context
        self._file = HealthFileWatch(spec.health_file(context), pid) if spec.health_file else None
        self._silence = SilenceWatch(pid)
        self._failed = 0
        self.standstill = ""  # why it is to be killed

    def is_ready(self) -> bool:
        """Tell whether its start is over."""
        if self._file is not None:
            report = self._file.look()
            if report is None or report.state is HealthState.UNHEALTHY:
                return False
        return self._spec.answers(self._context)

    def at(self, status: str) -> tuple[str, str]:
        """Return the status that it has now, after `status`, and why."""
        answers = self._spec.answers(self._context)
        report = self._file.look() if self._file is not None else None
        self._failed = 0 if answers else self._failed + 1
        self._silence.note(answers=answers)
        if self._file is not None and self._file.still_s > BEATS_MAX_STILL_S:
            self.standstill = f"stood still for {BEATS_MAX_STILL_S:.0f} s"
        elif self._silence.silent_s > SILENCE_MAX_S:
            self.standstill = f"did not answer for {SILENCE_MAX_S:.0f} s, and did nothing"
        if self._failed >= _UNHEALTHY_AFTER:
            return "unhealthy", "it does not answer"
        if report is not None and report.state is not HealthState.HEALTHY:
            return report.state.value.lower(), report.cause
        if self._file is not None and (silence := self._file.silence()):
            return "degraded", silence
        return ("ready" if not self._failed or status == "degraded" else status), ""


def pause_after(lived_s: float, backoff: Backoff) -> float:
    """Return how long to wait, in seconds, before a process that lived for `lived_s` is started again."""
    if lived_s >= _LIVED_S:
        backoff.reset()
    return backoff.next_s()


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with {code}"
