"""Starting, following and stopping processes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final

from stack.engines.spec import CommandLine

_LAUNCHER = Path(__file__).with_name("exec_child.py")
_ROTATE_BYTES = 4 * 1024 * 1024
# What any program needs: where programs and the user's files are, the language, the time zone.
_PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_OWN_PACKAGES: Final = ("mesh", "polystream", "pydantic")  # one of each folder that an installation may have


def bare_environment() -> dict[str, str]:
    """Return what every program needs of the environment, and nothing else: all that an engine inherits."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | _python_library() | _python_path()


def _python_library() -> dict[str, str]:
    """Return where the dynamic linker finds Python itself, for one that it finds in no other way."""
    variable = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    folder = sysconfig.get_config_var("LIBDIR")
    is_needed = sysconfig.get_config_var("Py_ENABLE_SHARED") and folder in os.environ.get(variable, "").split(
        os.pathsep
    )
    return {variable: str(folder)} if is_needed else {}


def _python_path() -> dict[str, str]:
    """Return the folders on Python's path that have the platform itself, for a Python that finds it nowhere else."""
    given = os.environ.get("PYTHONPATH", "")
    if not given:
        return {}
    specs = filter(None, map(find_spec, _OWN_PACKAGES))
    homes = {Path(place).resolve().parent for spec in specs for place in spec.submodule_search_locations or ()}
    needed = [folder for folder in given.split(os.pathsep) if folder and Path(folder).resolve() in homes]
    return {"PYTHONPATH": os.pathsep.join(needed)} if needed else {}


def spawn(command: CommandLine, log: Path) -> subprocess.Popen[bytes]:
    """Start the process, its output appended to `log`. It is killed when this process dies. Raises OSError.

    A log that can't be written keeps nothing from starting: what it would have taken is lost.

    Call it from a thread that lives as long as the process shall: Linux ties the child to the thread.
    """
    with appended(log) as output:
        return subprocess.Popen(  # noqa: S603 - the arguments are the specifications' own
            launcher_argv(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=command.cwd,
            env=dict(command.env),
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
        )


def appended(log: Path) -> BinaryIO:
    """Open a log to write at its end, rotated where it is large; where it can't be written, what takes everything."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            rotate(log)
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def run(command: CommandLine, log: Path, *, timeout_s: float, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the process to its end, and keep its output in `log` too. Raises subprocess.TimeoutExpired."""
    result = subprocess.run(  # noqa: S603 - the arguments are the specifications' own
        launcher_argv(command),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=command.cwd,
        env=dict(command.env),
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as output:
        output.write(result.stdout)
    return result


def run_following(command: CommandLine, follow: Callable[[str], None], *, timeout_s: float) -> int:
    """Hand each line that a program writes to `follow`, and return how it ended. It is killed when its time is up."""
    with subprocess.Popen(  # noqa: S603 - fixed arguments
        launcher_argv(command),
        cwd=command.cwd,
        env=dict(command.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        overdue = threading.Timer(timeout_s, process.kill)
        overdue.daemon = True
        overdue.start()
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                follow(line.rstrip("\n"))
            return process.wait()
        finally:
            overdue.cancel()
            process.kill()


def in_background(work: Callable[[], None], name: str) -> "Future[None]":
    """Begin work that may be left alone in a thread of its own: the process ends without waiting for it.

    The future has its result, or its error.

    An executor's threads would keep a process that is asked to stop waiting for minutes. The programs that `work`
    has started end with the thread.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


def launcher_argv(command: CommandLine) -> list[str]:
    """Return the arguments that start `command` through the launcher."""
    uid = "" if command.uid is None else str(command.uid)
    keep_access = "1" if command.keep_access else "0"
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), uid, keep_access, *command.argv]


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the process, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    send(process, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], command: CommandLine) -> None:
    """Stop the process: ask, wait within the bound that it states, kill."""
    send(process, command.stop_signal)
    try:
        process.wait(command.stop_timeout_s)
    except subprocess.TimeoutExpired:
        kill(process)
        process.wait()


def rotate(log: Path, limit_bytes: int = _ROTATE_BYTES) -> None:
    """Put a log that has grown large aside, as NAME.log.1, in place of the one before."""
    if log.exists() and log.stat().st_size > limit_bytes:
        log.replace(log.with_name(f"{log.name}.1"))


def shorten(log: Path, limit_bytes: int = 4 * _ROTATE_BYTES) -> None:
    """Do the same for a log that is being written: copy it, and empty it in place. Raises OSError.

    Works since children append; what is written between the two steps is lost, and all of it where the disk has no
    room for a copy.
    """
    if log.exists() and log.stat().st_size > limit_bytes:
        copy = log.with_name(f"{log.name}.1")
        try:
            shutil.copyfile(log, copy)
        except OSError:
            with contextlib.suppress(OSError):
                copy.unlink()
        os.truncate(log, 0)


def tail(log: Path, lines: int = 15, max_bytes: int = 16_384) -> str:
    """Return the last lines of a log; none of one that can't be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - max_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def last_error(log: Path) -> str:
    """Return the last error in a log of JSON lines, in one sentence; empty where it has none."""
    for line in reversed(tail(log).splitlines()):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("level") == "error":
            return ": ".join(str(said[name]) for name in ("event", "error") if said.get(name))
    return ""
