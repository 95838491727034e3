"""`polystream.admin.v1.IntegrityService`: finds drift between the stores and Kafka, and repairs it."""

from contextlib import nullcontext, suppress

import structlog
from polystream.admin.v1 import integrity_pb2 as pb
from polystream.admin.v1.integrity_pb2_grpc import IntegrityServiceServicer

from mesh.errors import PolystreamError, Reason
from mesh.justification import require_justified, require_principal
from mesh.topic_reader import TopicError
from processor.admin.calls import AdminCalls, Context
from processor.integrity.inspection import check, plan, repair
from processor.integrity.orphans import LanesBehindError
from processor.integrity.runs import RunRecord, recording

_LOG = structlog.get_logger(__name__)


class IntegrityServicer(IntegrityServiceServicer):
    """The service's RPCs. What could not be told is an outcome of the run, and no error of the call."""

    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    def CheckIntegrity(  # noqa: N802 # the service's own name
        self, request: pb.CheckIntegrityRequest, context: Context
    ) -> pb.IntegrityRun:
        """Compare everything."""
        with self._calls.call(context):
            require_principal(request.principal)
            record = RunRecord("CHECK", request.principal.strip())
            with suppress(TopicError, PolystreamError, LanesBehindError), recording(record, _tell):
                record.checked(check())
            return record.message

    def RepairIntegrity(  # noqa: N802 # the service's own name
        self, request: pb.RepairIntegrityRequest, context: Context
    ) -> pb.IntegrityRun:
        """Repair, or tell what a repair would do."""
        with self._calls.call(context):
            if request.validate_only:
                require_principal(request.principal)
            else:
                require_justified(request.principal, request.justification)
            kind = "PLAN" if request.validate_only else "REPAIR"
            record = RunRecord(kind, request.principal.strip(), request.justification.strip())
            try:
                with (
                    nullcontext() if request.validate_only else self._calls.change(),
                    recording(record, _tell),
                ):
                    _repair(request, record)
            except PolystreamError as error:
                if error.reason is Reason.ADMIN_BUSY:
                    raise
            except (TopicError, LanesBehindError):
                pass  # the record has it
            return record.message


def _repair(request: pb.RepairIntegrityRequest, record: RunRecord) -> None:
    if request.validate_only:
        drift, mended = plan(accept_content=request.accept_content)
        record.planned(drift, mended, force=request.force, erase=request.erase_orphans)
    else:
        done = repair(erase=request.erase_orphans, force=request.force, accept_content=request.accept_content)
        record.repaired(done)


def _tell(run: pb.IntegrityRun) -> None:
    """Write down who had what done, and how it ended."""
    _LOG.info(
        "integrity run has ended",
        kind=pb.IntegrityRun.Kind.Name(run.kind),
        outcome=pb.IntegrityRun.Outcome.Name(run.outcome),
        principal=run.principal,
        justification=run.justification,
        differences=sum(count.count for count in run.counts),
        duration_ms=run.duration.ToMilliseconds(),
    )
