"""`polystream.monitor.v1.IntegrityRunService`: keeps the last integrity run of each kind over restarts."""

import asyncio
import threading
from pathlib import Path
from typing import Any, Final

import grpc
from polystream.admin.v1.integrity_pb2 import IntegrityRun
from polystream.monitor.v1 import integrity_runs_pb2 as pb
from polystream.monitor.v1.integrity_runs_pb2_grpc import IntegrityRunServiceServicer

from mesh.errors import FieldFault, PolystreamError, Reason
from monitor.kept_message import KeptMessage
from monitor.service import answer

_FILE: Final = "integrity_runs.json"
_MAX_BYTES: Final = 256 * 1024  # of one run
Context = grpc.aio.ServicerContext[Any, Any]


class IntegrityRuns:
    """The last run of each kind. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the monitor's own, in which they are kept."""
        self._kept = KeptMessage(folder / _FILE, pb.ListIntegrityRunsResponse)
        self._changing = threading.Lock()
        self._runs = {run.kind: run for run in self._kept.read().runs}

    def runs(self) -> list[IntegrityRun]:
        """Return the last run of each kind, in the order of the kinds."""
        return [self._runs[kind] for kind in sorted(self._runs)]

    def record(self, run: IntegrityRun) -> None:
        """Keep a run, unless a later one of its kind is known. Raises PolystreamError: INVALID_FIELD, NOT_KEPT."""
        if not run.kind or not run.HasField("start_time") or run.ByteSize() > _MAX_BYTES:
            fault = FieldFault("run", f"has no kind or no start_time, or more than {_MAX_BYTES} bytes")
            raise PolystreamError(Reason.INVALID_FIELD, faults=[fault])
        with self._changing:
            known = self._runs.get(run.kind)
            if known is not None and known.start_time.ToNanoseconds() > run.start_time.ToNanoseconds():
                return
            runs = self._runs | {run.kind: run}
            self._kept.write(pb.ListIntegrityRunsResponse(runs=[runs[kind] for kind in sorted(runs)]))
            self._runs = runs


class IntegrityRunServicer(IntegrityRunServiceServicer):
    """The service's RPCs."""

    def __init__(self, runs: IntegrityRuns) -> None:
        self._runs = runs

    async def RecordIntegrityRun(  # noqa: N802 # the service's own name
        self, request: pb.RecordIntegrityRunRequest, context: Context
    ) -> pb.RecordIntegrityRunResponse:
        """Keep a run."""
        await answer(context, asyncio.to_thread(self._runs.record, request.run))
        return pb.RecordIntegrityRunResponse()

    async def ListIntegrityRuns(  # noqa: N802 # the service's own name
        self, request: pb.ListIntegrityRunsRequest, context: Context
    ) -> pb.ListIntegrityRunsResponse:
        """List the last run of each kind."""
        del request, context
        return pb.ListIntegrityRunsResponse(runs=self._runs.runs())
