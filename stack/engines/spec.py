"""Specifications of the processes that run on one machine: how to prepare, start, probe and stop each."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh.settings import PostgresSettings
from stack.ports import Ports

HOST = "127.0.0.1"


class StackError(Exception):
    """Something can't be prepared or started. The message names the process and the remedy."""


class UnsettledError(Exception):
    """A process is to be stopped, and not all is done that was accepted. Says what goes on at the next start."""


@dataclass(frozen=True, slots=True)
class StackContext:
    """Where a platform lives: its data folder, its ports, and the settings that it is given."""

    data_dir: Path  # absolute
    ports: Ports
    postgres: PostgresSettings
    environment: Mapping[str, str] = field(default_factory=dict)  # of the services, complete
    work_dir: Path = Path()  # of the services: where `.env` is
    launcher: tuple[str, ...] = ()  # the module, and its arguments, by which services are started; empty: by nothing

    def folder(self, name: str) -> Path:
        """Return the folder of one process, made if it is missing."""
        path = self.data_dir / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log_path(self, name: str) -> Path:
        """Return where the file is that takes the output of one process."""
        return self.data_dir / "logs" / f"{name}.log"

    def log(self, name: str) -> Path:
        """Return the same, its folder made if it is missing."""
        return self.folder("logs") / f"{name}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The command line of one process, and what it is started with."""

    argv: tuple[str, ...]
    env: Mapping[str, str]  # all of its environment, nothing is inherited
    cwd: Path
    uid: int | None = None  # the user that it becomes, where it may not stay root
    keep_access: bool = False  # it may pass folders that are closed to that user
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0  # then it is killed


def nothing(_: StackContext) -> None:
    """Do nothing: no preparation is needed, or no farewell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process of the platform: a service, or an engine."""

    name: str
    ports: tuple[str, ...]  # the fields of `Ports` that it listens on
    command: Callable[[StackContext], CommandLine]
    is_ready: Callable[[StackContext], bool]  # asks it once; may raise OSError where it does not answer
    prepare: Callable[[StackContext], None] = nothing  # before every start; raises StackError
    # Bounded; lets it finish what it has begun. Raises UnsettledError to tell of what goes on at the next start.
    before_stop: Callable[[StackContext], None] = nothing
    # Where it tells its health, ready or not; without it, `is_ready` is all there is to know.
    health_file: Callable[[StackContext], Path] | None = None
    ready_timeout_s: float = 30.0
    metrics_index: int | None = None  # of a service: its `/metrics` is so many ports above `Ports.metrics`

    def metrics_port(self, context: StackContext) -> int | None:
        """Return the port of its `/metrics`; None of what has none."""
        return None if self.metrics_index is None else context.ports.metrics + self.metrics_index

    def answers(self, context: StackContext) -> bool:
        """Tell whether the process is ready. One that cannot be reached is not."""
        try:
            return self.is_ready(context)
        except OSError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec(ProcessSpec):
    """A process that others are clients of."""

    environment: Callable[[StackContext], dict[str, str]]  # the settings that lead clients to it
    endpoint: Callable[[StackContext], str]  # the URL or DSN that a client takes, credentials included
