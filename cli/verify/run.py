"""One run of the self-check, from the first process to the report."""

import subprocess
import time
import tomllib
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Final

from cli.folders import CHECKOUT
from cli.verify.breakpoints import LAUNCHER
from cli.verify.checks import find_violations
from cli.verify.collecting import collect, read_tables
from cli.verify.excuses import Excuses, excused_reuses
from cli.verify.fault_schedule import make_schedule
from cli.verify.fault_world import FaultKind, FaultWorld
from cli.verify.faults import FAULTS
from cli.verify.history import CommandHistory
from cli.verify.injector import Injector
from cli.verify.load import LoadRun, Progress
from cli.verify.memory import MemoryWatch
from cli.verify.options import RunOptions
from cli.verify.platform import VerifiedPlatform, VerifyError, verified_platform
from cli.verify.quiet import wait_until_quiet
from cli.verify.report import build_report
from cli.verify.told_operations import read_operations
from cli.verify.workload import make_workload
from mesh.catalog import load_catalog
from stack.engines import provide
from stack.engines.spec import StackError

_GIT_TIMEOUT_S: Final = 10.0
_SLOWEST: Final = 5  # the load goes no slower than its plan by this factor while faults are late
_MARGIN_S: Final = 600.0  # beyond the load's own time


def run_verify(
    options: RunOptions, progress: Progress, table: Mapping[str, FaultKind] = FAULTS, launcher: str = LAUNCHER
) -> dict[str, Any]:
    """Start a platform, load it, harm it, stop it, and return the report. Raises VerifyError.

    `table` has the faults by name, and `launcher` is the module by which the services are started.
    """
    try:
        provide(options.engine_set, progress)
    except StackError as error:
        raise VerifyError(str(error)) from error
    progress("starting the platform")
    began_s = time.monotonic()
    is_proxied = any(table[name].is_proxied for name in options.faults)
    small_disks = {folder for name in options.faults for folder in table[name].small_disks}
    with verified_platform(
        options.engine_set, options.lanes, launcher, is_proxied=is_proxied, small_disks=small_disks
    ) as platform:
        return _run_on(platform, options, progress, table, time.monotonic() - began_s)


def _run_on(
    platform: VerifiedPlatform,
    options: RunOptions,
    progress: Progress,
    table: Mapping[str, FaultKind],
    start_s: float,
) -> dict[str, Any]:
    workload = make_workload(options.seed, options.commands, options.duration_s)
    before = read_tables(platform)
    load = LoadRun(
        *(workload, platform.endpoint("grpc"), platform.endpoint("rest"), load_catalog(), f"verify-{options.seed}"),
        wait_max_s=options.limits.operation_s,
    )
    world = FaultWorld(platform, load)
    injector = Injector(world, make_schedule(options.seed, options.faults, options.duration_s), table, progress)
    progress("creating the first user")
    memory = MemoryWatch(platform, options.duration_s)
    threads = load.begin()
    injector.begin()
    memory.begin()
    try:
        platform.main.serve(
            lambda: injector.is_done and not any(thread.is_alive() for thread in threads),
            _SLOWEST * options.duration_s + _MARGIN_S,
        )
    finally:
        injector.end()
        load.end(threads)
        memory.end()
    if load.failures:
        raise VerifyError(f"a client has ended before its time: {load.failures[0]}")
    history = CommandHistory(load.entries)
    acknowledged = [entry.correlation_id for entry in history.acknowledged]
    quiet_began_s = time.monotonic()
    unwell = wait_until_quiet(platform, acknowledged, options.limits.quiet_s, progress)
    unwell += [f"{fault.kind}: {fault.note}" for fault in injector.injected if fault.failed]
    excuses = Excuses(history, injector.injected, table)
    progress("reading every operation at every door")
    asked = [entry.correlation_id for entry in history.entries if not entry.refusal]
    operations = read_operations(
        platform.endpoint("grpc"), platform.endpoint("rest"), asked, options.limits.quiet_s, excuses.is_whole
    )
    quiet_s = time.monotonic() - quiet_began_s
    progress("reading the stores and the topics")
    found = collect(platform, operations, before, world, unwell)
    progress("checking")
    violations = find_violations(
        history,
        found,
        taken_emails=frozenset({str(workload.anchor.fields["email"])}),
        excused_reuses=excused_reuses(history.entries, injector.injected, table),
        excused_spans=excuses.spans(operations),
    )
    return build_report(
        options=options,
        commit=_commit(),
        version=_version(),
        planned=workload.size,
        history=history,
        found=found,
        injected=injector.injected,
        violations=violations,
        load_s=load.took_s,
        start_s=start_s,
        quiet_s=quiet_s,
        memory=memory,
    )


def _commit() -> str:
    """Return the checkout's commit; empty where there is none, or no git."""
    try:
        found = subprocess.run(
            ("git", "rev-parse", "HEAD"),  # noqa: S607 - whichever git the user has
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _version() -> str:
    """Return the platform's version, be it installed or a folder of files."""
    try:
        return metadata.version("polystream")
    except metadata.PackageNotFoundError:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])
