"""Which platform a command is for: the one on a data folder, at a port offset, or the only one that runs."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli import compose
from cli.arguments import folder, whole_number
from cli.folders import default_data_dir
from stack.engines.spec import StackError
from stack.ports import OFFSET_MAX
from stack.supervisor.register import Register, RegisteredPlatform, user_register
from stack.supervisor.state import RunFolder, read_state
from stack.supervisor.state_socket import StateClient

_TOLD_MAX: Final = 3  # in one sentence
_ANSWER_TIMEOUT_S: Final = 1.0
_DATA_DIR_HELP: Final = "where the platform keeps its data (default: .data/embedded of the checkout)"


class NothingRunsError(Exception):
    """There is no platform to reach, or several may be meant; says what to do."""


@dataclass(frozen=True, slots=True)
class RunningPlatform:
    """A platform of this user that runs on this machine."""

    data_dir: Path
    port_offset: int
    engines: str  # the set, or `compose`
    status: str  # as its supervisor says; `unknown` where it does not answer, or Compose runs it
    supervisor_pid: int | None  # None where Compose runs it


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir` of a command that starts a platform."""
    parser.add_argument("--data-dir", type=folder, default=default_data_dir(), metavar="DIR", help=_DATA_DIR_HELP)


def add_platform_choice(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir` and `--port-offset` of a command that looks for a platform, for `choose_data_dir`."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--data-dir", type=folder, metavar="DIR", help=_DATA_DIR_HELP)
    group.add_argument(
        "--port-offset",
        type=whole_number(0, OFFSET_MAX),
        metavar="N",
        help="the platform that was started with this offset, wherever it keeps its data",
    )


def choose_data_dir(arguments: argparse.Namespace, *, only_one_will_do: bool = False) -> Path:
    """Return the data folder of the platform that is meant: that of the checkout, unless an option says otherwise.

    Where `only_one_will_do`, and nothing runs there, it is that of the only one that runs, which is told: not for
    commands that stop or change something, since it may be somebody else's work. Raises NothingRunsError where none, or
    more than one, may be meant.
    """
    if arguments.data_dir is not None:
        return Path(arguments.data_dir)
    here = default_data_dir()
    if arguments.port_offset is not None:
        return _at_offset(arguments.port_offset)
    if not only_one_will_do or _runs(here):
        return here
    running = running_platforms()
    if len(running) == 1:
        sys.stderr.write(f"(the platform on {running[0].data_dir}, the only one that runs)\n")
        return running[0].data_dir
    if running:
        raise NothingRunsError(f"nothing runs on {here}. {told(running)}")
    return here


def running_platforms() -> tuple[RunningPlatform, ...]:
    """Return the platforms of this user that run, as their locks say. Entries of others leave the register."""
    register, here = user_register(), default_data_dir()
    entries = register.entries() if register else ()
    found = [running for entry in entries if (running := _judged(entry, register)) is not None]
    if here.resolve() not in {each.data_dir for each in found}:
        # One that could not be entered, or that an earlier version has started.
        state = RunFolder(here.resolve()).read()
        offset = compose.port_offset_of(here) if compose.started_with(here) else state.port_offset if state else 0
        entry = RegisteredPlatform(here.resolve(), offset, state.engines if state else "")
        if (running := _judged(entry, None)) is not None:
            found.append(running)
    return tuple(sorted(found, key=lambda each: (each.port_offset, str(each.data_dir))))


def told(running: Sequence[RunningPlatform]) -> str:
    """Return a sentence that names what runs, each with the option that leads to it; empty where nothing does."""
    named = [
        f"{option_for(each, running)} ({each.engines}, {each.status}, on {each.data_dir})"
        for each in running[:_TOLD_MAX]
    ]
    if len(running) > _TOLD_MAX:
        named.append("and more: `status` shows all")
    return f"What runs: {'; '.join(named)}" if named else ""


def option_for(platform: RunningPlatform, running: Sequence[RunningPlatform]) -> str:
    """Return the option by which a command reaches one of the platforms that run."""
    if [each.port_offset for each in running].count(platform.port_offset) == 1:
        return f"--port-offset {platform.port_offset}"
    return f"--data-dir {platform.data_dir}"


def nothing_on(data_dir: Path) -> NothingRunsError:
    """Return the error that nothing runs on a data folder; it says what does."""
    others = told(running_platforms())
    return NothingRunsError(
        f"no platform runs on {data_dir}: start one with `up`, or say --data-dir or --port-offset"
        + (f". {others}" if others else "")
    )


def _at_offset(offset: int) -> Path:
    running = running_platforms()
    found = [each for each in running if each.port_offset == offset]
    if not found:
        others = told(running)
        raise NothingRunsError(f"no platform of yours runs with --port-offset {offset}. {others or 'Nothing runs'}")
    if len(found) > 1:
        folders = " or ".join(f"--data-dir {each.data_dir}" for each in found)
        raise NothingRunsError(f"{len(found)} platforms run with --port-offset {offset}: say {folders}")
    return found[0].data_dir


def _runs(data_dir: Path) -> bool:
    try:
        return bool(compose.started_with(data_dir)) or RunFolder(data_dir.resolve()).holder() is not None
    except StackError:  # another user's: the command itself says so
        return True


def _judged(entry: RegisteredPlatform, register: Register | None) -> RunningPlatform | None:
    """Return what an entry is about as it is now; None where that is not running, and forget it."""
    if compose.started_with(entry.data_dir):
        return RunningPlatform(entry.data_dir, entry.port_offset, "compose", "unknown", None)
    try:
        holder = RunFolder(entry.data_dir).holder()
    except StackError:
        return None
    if holder is None:
        if register is not None:
            register.forget(entry.data_dir)
        return None
    pid = holder.pid
    answer = StateClient(RunFolder(entry.data_dir).path, pid).now(_ANSWER_TIMEOUT_S) if pid else None
    state = read_state(answer or "")
    status = state.status if state else "unknown"
    return RunningPlatform(entry.data_dir, entry.port_offset, entry.engines, status, pid)
