"""Which platform a command is for: the one on a data folder, at a port offset, or the only one that runs."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli import compose
from cli.arguments import folder, whole_number
from cli.folders import default_data_dir
from cli.printable import write_error
from stack.engines.spec import StackError
from stack.ports import OFFSET_MAX
from stack.supervisor.lock import Holder
from stack.supervisor.register import user_register
from stack.supervisor.state import PlatformState, RunFolder, read_state
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
    port_offset: int | None  # None where it is not known: its supervisor does not say
    engines: str  # the set, or `compose`; empty where it is not known
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
        write_error(f"(the platform on {running[0].data_dir}, the only one that runs)")
        return running[0].data_dir
    if running:
        raise NothingRunsError(f"nothing runs on {here}. {told(running)}")
    return here


def running_platforms() -> tuple[RunningPlatform, ...]:
    """Return the platforms of this user that run, as their locks say. Entries of others leave the register."""
    register, here = user_register(), default_data_dir().resolve()
    entered = register.data_dirs() if register else ()
    found: list[RunningPlatform] = []
    for data_dir in dict.fromkeys((*entered, here)):  # here may be one that could not be entered
        try:
            running = _judged(data_dir)
        except StackError:  # another user's
            continue
        if running is not None:
            found.append(running)
        elif register is not None:
            register.forget(data_dir)
    return tuple(sorted(found, key=lambda each: (each.port_offset is None, each.port_offset or 0, str(each.data_dir))))


def told(running: Sequence[RunningPlatform]) -> str:
    """Return a sentence that names what runs, each with the option that leads to it; empty where nothing does."""
    named = [
        f"{option_for(each, running)} ({each.engines or 'engines unknown'}, {each.status}, on {each.data_dir})"
        for each in running[:_TOLD_MAX]
    ]
    if len(running) > _TOLD_MAX:
        named.append("and more: `status` shows all")
    return f"What runs: {'; '.join(named)}" if named else ""


def option_for(platform: RunningPlatform, running: Sequence[RunningPlatform]) -> str:
    """Return the option by which a command reaches one of the platforms that run."""
    offset = platform.port_offset
    if offset is not None and [each.port_offset for each in running].count(offset) == 1:
        return f"--port-offset {offset}"
    return _data_dir_option(platform.data_dir)


def option_of_started(data_dir: Path, port_offset: int) -> str:
    """Return the option by which other commands reach what `up` has just started; empty where they do without."""
    register = user_register()
    if port_offset and register is not None and register.has(data_dir):
        return f"--port-offset {port_offset}"
    return "" if data_dir == default_data_dir().resolve() else _data_dir_option(data_dir)


def _data_dir_option(data_dir: Path) -> str:
    """Return the option for a data folder, as a shell takes it."""
    return f"--data-dir {shlex.quote(str(data_dir))}"


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
        folders = " or ".join(_data_dir_option(each.data_dir) for each in found)
        raise NothingRunsError(f"{len(found)} platforms run with --port-offset {offset}: say {folders}")
    return found[0].data_dir


def _runs(data_dir: Path) -> bool:
    try:
        return bool(compose.started_with(data_dir)) or RunFolder(data_dir.resolve()).holder() is not None
    except StackError:  # another user's: the command itself says so
        return True


def _judged(data_dir: Path) -> RunningPlatform | None:
    """Return the platform that runs on a data folder, as it says itself; None where none does. Raises StackError."""
    if compose.started_with(data_dir):
        return RunningPlatform(data_dir, compose.port_offset_of(data_dir), "compose", "unknown", None)
    folder = RunFolder(data_dir)
    holder = folder.holder()
    if holder is None:
        return None
    state = _told_by(holder, folder)
    if state is None:
        return RunningPlatform(data_dir, None, "", "unknown", holder.pid)
    return RunningPlatform(data_dir, state.port_offset, state.engines, state.status, holder.pid)


def _told_by(holder: Holder, folder: RunFolder) -> PlatformState | None:
    """Return the state that the holder of the lock tells, or else has written; None where there is none of it."""
    if holder.pid is None:
        return None
    state = read_state(StateClient(folder.path, holder.pid).now(_ANSWER_TIMEOUT_S) or "")
    if state is None and (state := folder.read()) is not None:
        state.status = "unknown"
    return state if state is not None and state.pid == holder.pid else None
