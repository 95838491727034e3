"""A check or a repair as the monitor keeps it: when, how long, for whom, how it ended, and what was found."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from polystream.admin.v1.integrity_pb2 import IntegrityRun
from polystream.options.v1.options_pb2 import Store

from mesh import topics
from mesh.dead_letters.redrive import RedriveResult
from mesh.errors import PolystreamError
from mesh.settings import KafkaSettings
from mesh.topic_reader import GroupPosition, TopicError, TopicReader
from processor.integrity.inspection import Drift, Repair
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.mending import Mended
from processor.integrity.orphans import LanesBehindError
from processor.integrity.planned import command_finding, lost_finding, orphan_findings, planned, unmarked_finding

_FINDINGS_MAX: Final = 100
_TEXT_MAX_CHARACTERS: Final = 500
_STORES: Final = tuple(name for name, number in Store.items() if number)


class RunRecord:
    """One run, which is filled in as it goes on."""

    def __init__(self, kind: str, principal: str, justification: str = "") -> None:
        """`kind` is a name of `IntegrityRun.Kind`."""
        self.message = IntegrityRun(
            kind=kind, principal=principal, justification=justification, outcome=IntegrityRun.FAILED
        )
        self.message.start_time.FromNanoseconds(time.time_ns())
        self._began_s = time.monotonic()

    def checked(self, drift: Drift) -> None:
        """Take what a check has found."""
        self._take_drift(drift)
        found = [
            *(lost_finding(entry) for entry in drift.findings.lost),
            *(unmarked_finding(receipt) for receipt in drift.findings.unmarked),
            *orphan_findings(drift.orphans),
            *drift.others,
        ]
        self._add([Mended(finding, "", is_done=False) for finding in found])

    def planned(self, drift: Drift, mended: Sequence[Mended], *, force: bool, erase: bool) -> None:
        """Take what a repair would do."""
        self._take_drift(drift)
        self._add(planned(drift, mended, force=force, erase=erase))

    def repaired(self, repair: Repair) -> None:
        """Take what a repair has done, and has left."""
        message = self.message
        message.outcome = IntegrityRun.SOUND if repair.is_done else IntegrityRun.DRIFT
        message.compared_count = repair.compared
        if repair.is_done and not repair.compared:
            message.outcome = IntegrityRun.NOTHING_TO_COMPARE
        for kind, count in repair.found.items():
            message.counts.add(kind=kind, count=count)
        left = {entry.dead_letter.correlation_id for entry in repair.left}
        self._add(
            [
                *repair.mended,
                *(
                    Mended(_lost(one), one.outcome.value, is_done=True)
                    for one in repair.redriven
                    if one.dead_letter.correlation_id not in left
                ),
                *(
                    Mended(lost_finding(entry), f"left: {entry.redrive_status.value}", is_done=False)
                    for entry in repair.left
                ),
                *(Mended(finding, "left", is_done=False) for finding in orphan_findings(repair.orphans)),
            ]
        )

    def failed(self, error: Exception) -> None:
        """Take why it could not be told."""
        is_behind = isinstance(error, LanesBehindError)
        self.message.outcome = IntegrityRun.LANES_BEHIND if is_behind else IntegrityRun.FAILED
        self.message.problem = str(error)[:_TEXT_MAX_CHARACTERS]

    def end(self) -> IntegrityRun:
        """Say how long it took, and how far each lane is behind by now; return it."""
        self.message.duration.FromMilliseconds(round((time.monotonic() - self._began_s) * 1000))
        with suppress(TopicError):
            for store, records in lane_lags().items():
                self.message.lags.add(store=Store.Value(store), records=records)
        return self.message

    def _take_drift(self, drift: Drift) -> None:
        message = self.message
        message.compared_count, message.contents_without_hash_count = drift.findings.commands, drift.unknown
        for kind, count in drift.kinds.items():
            message.counts.add(kind=kind.value, count=count)
        if drift.kinds:
            message.outcome = IntegrityRun.DRIFT
        else:
            message.outcome = IntegrityRun.SOUND if drift.has_compared else IntegrityRun.NOTHING_TO_COMPARE

    def _add(self, steps: Sequence[Mended]) -> None:
        for step in steps[:_FINDINGS_MAX]:
            one = step.finding
            self.message.findings.add(
                kind=one.kind.value,
                store=Store.Value(one.store) if one.store in _STORES else 0,
                place=one.place[:_TEXT_MAX_CHARACTERS],
                key=one.key[:_TEXT_MAX_CHARACTERS],
                action=step.action[:_TEXT_MAX_CHARACTERS],
                done=step.is_done,
            )
        self.message.findings_left_out_count = max(0, len(steps) - _FINDINGS_MAX)


@contextmanager
def recording(record: RunRecord, on_end: Callable[[IntegrityRun], None]) -> Iterator[RunRecord]:
    """Have a run's end told however it ends. What goes wrong is raised again."""
    try:
        yield record
    except (TopicError, PolystreamError, LanesBehindError) as error:
        record.failed(error)
        raise
    finally:
        on_end(record.end())


def lane_lags() -> Mapping[str, int]:
    """Return how many records of `user_events` each store's lane has not passed. Raises TopicError."""
    kafka = KafkaSettings()
    with ExitStack() as stack:
        extents = stack.enter_context(TopicReader(kafka)).extents(topics.COMMANDS)
        found = {}
        for store in _STORES:
            position = stack.enter_context(GroupPosition(kafka, topics.lane_group(store)))
            committed = position.committed(topics.COMMANDS, list(extents))
            found[store] = sum(max(0, one.end - committed.get(p, one.begin)) for p, one in extents.items())
        return found


def _lost(redriven: RedriveResult) -> Finding:
    return command_finding(DriftKind.LOST, redriven.dead_letter.store, redriven.dead_letter.correlation_id)
