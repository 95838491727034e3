"""Class-data archives: what Java has loaded and checked once, mapped into memory at later starts.

They halve the start time of each engine. One is made by running the engine once on an empty data folder, and stands
in the cache, beside the engine's files and apart from them: Java itself refuses one that does not fit.
"""

import subprocess
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path
from socket import socket
from typing import Final

from mesh.settings import PostgresSettings
from stack.engines import process as processes
from stack.engines.native.fetch import locked
from stack.engines.native.java import ARCHIVE_OPTION
from stack.engines.native.maven import Report
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext, StackError
from stack.ports import Ports

_READY_TIMEOUT_S: Final = 180.0
_DUMP_TIMEOUT_S: Final = 180.0
_POLL_S: Final = 0.1


def make_archive(engine: EngineSpec, report: Report) -> None:
    """Make the archive of an engine where it is missing. Raises StackError where the engine does not start.

    A Java that can't make one is asked only once: an empty file stands for its archive, and is no harm.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = StackContext(Path(folder), _free_ports(), PostgresSettings.model_construct())
        file = _archive_of(engine.command(context))
        if file.exists():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_suffix(".lock"), report):
            if file.exists():
                return
            report(f"{engine.name}: preparing a quick start, once")
            made = context.data_dir / "archive.jsa"
            _run_once(engine, context, made)
            beside = file.with_suffix(".new")
            beside.write_bytes(made.read_bytes() if made.exists() else b"")
            beside.replace(file)


def _archive_of(command: CommandLine) -> Path:
    """Return the archive that a command of Java asks for."""
    (option,) = (part for part in command.argv if part.startswith(ARCHIVE_OPTION))
    return Path(option.removeprefix(ARCHIVE_OPTION))


def _run_once(engine: EngineSpec, context: StackContext, made: Path) -> None:
    """Start an engine, wait until it is ready, and let it write its archive as it ends."""
    engine.prepare(context)
    command = engine.command(context)
    argv = [f"-XX:ArchiveClassesAtExit={made}" if part.startswith(ARCHIVE_OPTION) else part for part in command.argv]
    log = context.log(engine.name)
    process = processes.spawn(replace(command, argv=tuple(argv)), log)
    try:
        _wait_until_ready(engine, context, process)
        processes.send(process, command.stop_signal)
        process.wait(_DUMP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass  # without an archive it starts all the same
    finally:
        processes.stop(process, CommandLine(argv=(), env={}, cwd=context.data_dir, stop_timeout_s=0.1))


def _wait_until_ready(engine: EngineSpec, context: StackContext, process: "subprocess.Popen[bytes]") -> None:
    give_up_s = time.monotonic() + _READY_TIMEOUT_S
    while not engine.answers(context):
        if process.poll() is not None or time.monotonic() > give_up_s:
            raise StackError(f"{engine.name} does not start. Its log ends:\n{processes.tail(context.log(engine.name))}")
        time.sleep(_POLL_S)


def _free_ports() -> Ports:
    """Return ports that are free now."""
    probes = [socket() for _ in fields(Ports)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return Ports(*(probe.getsockname()[1] for probe in probes))
    finally:
        for probe in probes:
            probe.close()
