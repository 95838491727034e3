"""One run of the self-check, from the first process to the report."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.folders import CHECKOUT
from cli.verify.checks import find_violations
from cli.verify.collecting import collect, read_tables
from cli.verify.fault_schedule import make_schedule
from cli.verify.faults import FAULTS, FaultKind, FaultWorld
from cli.verify.history import CommandEntry, CommandHistory, Purpose
from cli.verify.injector import InjectedFault, Injector
from cli.verify.load import LoadRun, Progress
from cli.verify.options import RunOptions
from cli.verify.platform import VerifiedPlatform, VerifyError, verified_platform
from cli.verify.quiet import wait_until_quiet
from cli.verify.report import build_report
from cli.verify.workload import make_workload
from mesh.catalog import load_catalog
from stack.engines import provide
from stack.engines.spec import StackError

_GIT_TIMEOUT_S: Final = 10.0
_SPANS_KEPT_S: Final = 10.0  # a service tries for 7 s to send spans, which it gathers first
_MARGIN_S: Final = 600.0  # beyond the load's own time


def run_verify(options: RunOptions, progress: Progress, table: Mapping[str, FaultKind] = FAULTS) -> dict[str, Any]:
    """Start a platform, load it, harm it, stop it, and return the report. Raises VerifyError.

    `table` has the faults by name.
    """
    try:
        provide(options.engine_set, progress)
    except StackError as error:
        raise VerifyError(str(error)) from error
    progress("starting the platform")
    began_s = time.monotonic()
    with verified_platform(options.engine_set, options.lanes) as platform:
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
        workload, platform.endpoint("grpc"), platform.endpoint("rest"), load_catalog(), f"verify-{options.seed}"
    )
    world = FaultWorld(platform, load)
    injector = Injector(world, make_schedule(options.seed, options.faults, options.duration_s), table, progress)
    progress("creating the first user")
    threads = load.begin()
    injector.begin()
    try:
        platform.main.serve(
            lambda: injector.is_done and not any(thread.is_alive() for thread in threads),
            options.duration_s + _MARGIN_S,
        )
    finally:
        injector.end()
        load.end(threads)
    if load.failures:
        raise VerifyError(f"a client has ended before its time: {load.failures[0]}")
    history = CommandHistory(load.entries)
    acknowledged = [entry.correlation_id for entry in history.acknowledged]
    quiet_began_s = time.monotonic()

    def lacks_spans(correlation_id: str, took_s: float) -> bool:
        return may_lack_spans(history.by_id[correlation_id], took_s, injector.injected, table)

    unwell = wait_until_quiet(platform, acknowledged, lacks_spans, progress)
    quiet_s = time.monotonic() - quiet_began_s
    unwell += [f"{fault.kind}: {fault.note}" for fault in injector.injected if fault.failed]
    progress("reading the stores, the topics and the operations")
    asked = [entry.correlation_id for entry in history.entries if not entry.refusal]
    found = collect(platform, asked, before, world.foreign, unwell)
    progress("checking")
    violations = find_violations(
        history,
        found,
        taken_emails=frozenset({str(workload.anchor.fields["email"])}),
        excused_reuses=excused_reuses(history.entries, injector.injected, table),
        excused_spans=frozenset(
            history.by_id[correlation_id].serial
            for correlation_id, doors in found.told.items()
            if lacks_spans(correlation_id, max(told.took_s for told in doors.values()))
        ),
    )
    return build_report(
        options=options,
        commit=_commit(),
        planned=workload.size,
        skipped=load.skipped,
        history=history,
        found=found,
        injected=injector.injected,
        violations=violations,
        load_s=load.took_s,
        start_s=start_s,
        quiet_s=quiet_s,
    )


def excused_reuses(
    entries: Sequence[CommandEntry], injected: Sequence[InjectedFault], table: Mapping[str, FaultKind]
) -> frozenset[int]:
    """Return the serials of commands whose request ID nobody could know, or tell of, while Redis did not answer."""
    times = [(fault.begin_s, fault.end_s) for fault in injected if "redis" in table[fault.kind].touches]
    return frozenset(
        entry.serial
        for entry in entries
        if any(attempt.purpose is Purpose.OTHER for attempt in entry.attempts)
        and any(
            attempt.begin_s <= end_s and attempt.end_s >= begin_s
            for attempt in entry.attempts
            for begin_s, end_s in times
        )
    )


def may_lack_spans(
    entry: CommandEntry, took_s: float, injected: Sequence[InjectedFault], table: Mapping[str, FaultKind]
) -> bool:
    """Tell whether a command was under way when a process died, or stood still, that may have had spans of it.

    `took_s` is the time from its acceptance to its last answer.
    """
    if not entry.attempts:
        return False
    begin_s, end_s = entry.attempts[0].begin_s, entry.attempts[-1].end_s + took_s
    return any(
        begin_s <= fault.end_s + _SPANS_KEPT_S and end_s >= fault.begin_s - _SPANS_KEPT_S
        for fault in injected
        if table[fault.kind].loses_spans
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
