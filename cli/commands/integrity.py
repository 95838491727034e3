"""`polystream integrity check|repair`: drift between the stores, found and repaired."""

import argparse
import json
import sys
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.principal import principal_here
from cli.printable import log_to_stderr, write_error
from cli.running import endpoints_for, take_settings_of

if TYPE_CHECKING:
    from polystream.admin.v1.integrity_pb2 import IntegrityRun

    from processor.integrity.runs import RunRecord

_TELL_TIMEOUT_S: Final = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    checking = actions.add_parser("check", help="say what a store has lost, or has left over")
    repairing = actions.add_parser("repair", help="send lost commands again")
    repairing.add_argument(
        "--force", action="store_true", help="those too that later commands have overtaken, or that may not be safe"
    )
    repairing.add_argument(
        "--erase-orphans", action="store_true", help="delete what is there of users who are not in PostgreSQL"
    )
    repairing.add_argument(
        "--accept-content",
        action="store_true",
        help="take contents as they are that were changed, where nothing tells what they were",
    )
    repairing.add_argument("--dry-run", action="store_true", help="change nothing, and say what would be done")
    for action in (checking, repairing):
        action.add_argument("--json", action="store_true", help="write JSON")
        add_platform_choice(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it: 0 when nothing is wrong, 1 when something is or there is nothing to compare with, 2 when it can't be told.

    The processor does the work: it alone knows what is in the stores.
    """
    from mesh.errors import PolystreamError  # noqa: PLC0415 - --help comes without the stores' clients
    from mesh.topic_reader import TopicError  # noqa: PLC0415
    from processor.integrity.orphans import LanesBehindError  # noqa: PLC0415

    log_to_stderr()
    try:
        arguments.data_dir = choose_data_dir(arguments)
        take_settings_of(arguments.data_dir)
        return _check(arguments) if arguments.action == "check" else _repair(arguments)
    except (NothingRunsError, TopicError, LanesBehindError) as error:
        write_error(error)
    except PolystreamError as error:
        details = ", ".join(f"{name}: {value}" for name, value in error.metadata.items())
        write_error(f"{error.message} ({details})" if details else error.message)
    return 2


def _check(arguments: argparse.Namespace) -> int:
    from cli.integrity_report import describe_drift, show_drift  # noqa: PLC0415 - as above
    from processor.integrity.inspection import check  # noqa: PLC0415

    with _recording(arguments, "CHECK") as record:
        drift = check()
        record.checked(drift)
    if arguments.json:
        _write_json(describe_drift(drift))
    else:
        show_drift(drift)
    return 0 if drift.is_sound else 1


def _repair(arguments: argparse.Namespace) -> int:
    from cli.integrity_report import describe_repair, show_repair  # noqa: PLC0415 - as above
    from processor.integrity.inspection import repair  # noqa: PLC0415

    if arguments.dry_run:
        return _plan(arguments)
    with _recording(arguments, "REPAIR") as record:
        done = repair(erase=arguments.erase_orphans, force=arguments.force, accept_content=arguments.accept_content)
        record.repaired(done)
    if arguments.json:
        _write_json(describe_repair(done))
    else:
        show_repair(done)
    return 0 if done.is_done else 1


def _plan(arguments: argparse.Namespace) -> int:
    from cli.integrity_plan import describe_plan, show_plan  # noqa: PLC0415 - as above
    from processor.integrity.inspection import plan  # noqa: PLC0415
    from processor.integrity.planned import planned  # noqa: PLC0415

    with _recording(arguments, "PLAN") as record:
        drift, mended = plan(accept_content=arguments.accept_content)
        record.planned(drift, mended, force=arguments.force, erase=arguments.erase_orphans)
    steps = planned(drift, mended, force=arguments.force, erase=arguments.erase_orphans)
    if arguments.json:
        _write_json(describe_plan(steps))
    else:
        show_plan(steps)
    return 0 if drift.is_sound else 1


def _recording(arguments: argparse.Namespace, kind: str) -> "AbstractContextManager[RunRecord]":
    """Have the monitor keep what a run brings."""
    from processor.integrity.runs import RunRecord, recording  # noqa: PLC0415 - as above

    record = RunRecord(kind, principal_here())
    return recording(record, partial(_tell_monitor, arguments.data_dir))


def _tell_monitor(data_dir: Path, run: "IntegrityRun") -> None:
    """Have the monitor keep a run for its page. It may be away: that is no failure of the run."""
    import grpc  # noqa: PLC0415 - as above
    from polystream.monitor.v1.integrity_runs_pb2 import RecordIntegrityRunRequest  # noqa: PLC0415
    from polystream.monitor.v1.integrity_runs_pb2_grpc import IntegrityRunServiceStub  # noqa: PLC0415

    from mesh.direct import GRPC_OPTIONS  # noqa: PLC0415

    address = endpoints_for(data_dir).get("otlp")
    if not address:
        return
    with (
        grpc.insecure_channel(address.removeprefix("http://"), options=GRPC_OPTIONS) as channel,
        suppress(grpc.RpcError),
    ):
        request = RecordIntegrityRunRequest(run=run)
        IntegrityRunServiceStub(channel).RecordIntegrityRun(request, timeout=_TELL_TIMEOUT_S)


def _write_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
