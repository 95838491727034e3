"""What a lane counts, a batch at a time, and which of its numbers are told as metrics."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt

from mesh.errors import PolystreamError, Reason
from mesh.health.part import PartHealth
from mesh.store_errors import has_failed, is_waiting
from mesh.telemetry import metric_list
from mesh.telemetry.context import TraceContext
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.names import MESSAGING_GROUP, STORE
from mesh.telemetry.part_metrics import observe_count, observe_health
from mesh.telemetry.tallies import CounterTable, HistogramTable
from mesh.telemetry.tracing import Tracing
from mesh.topics import DEAD_LETTERS, RECEIPTS

# What becomes of a command in a lane.
SUCCEEDED: Final = "succeeded"
REFUSED: Final = "refused"
DEAD_LETTERED: Final = "dead_lettered"
WAITING: Final = "waiting"

USERS_IN: Final = "postgresql"  # every lane may wait to hear whether a user exists
_APPLY: Final = "apply"
_SET_APART: Final = (Reason.UNDECODABLE, Reason.UNKNOWN_COMMAND, Reason.LANE_OUTDATED, Reason.HANDLER_FAILED)


class LaneMetrics:
    """A lane's own counts. One thread writes; any may read."""

    def __init__(self, store: str, group: str) -> None:
        """`store` is a name of options.v1.Store, `group` the lane's consumer group."""
        self._store = store
        self._group = group
        dependency = store.lower()
        self.consumed = 0  # records that were read
        self.sent = CounterTable(metric_list.SENT, *((topic, "") for topic in (RECEIPTS, DEAD_LETTERS)))
        self.retries = CounterTable(
            metric_list.RETRIES, *((name,) for name in (dependency, "kafka", "schema_registry"))
        )
        self._answered = CounterTable(metric_list.LANE_COMMANDS)
        self._dead_letters = CounterTable(metric_list.DEAD_LETTERS, *((store, reason.name) for reason in _SET_APART))
        self._rounds = HistogramTable(metric_list.PROCESS_DURATION)
        self._store_calls = HistogramTable(metric_list.STORE_DURATION)
        self._batches = HistogramTable(metric_list.BATCH_SIZE)
        self._applied = HistogramTable(metric_list.APPLY_DURATION)
        self._of_rounds = self._rounds.of(group)
        self._of_store_calls = self._store_calls.of(dependency, _APPLY)
        self._of_batches = self._batches.of(store)

    def rounded(self, began_s: float) -> None:
        """Take note of a batch that is done, and began then by `time.perf_counter`."""
        self._of_rounds.record(time.perf_counter() - began_s)

    @contextmanager
    def applying(self, commands: int) -> Iterator[None]:
        """Surround a store's work on a batch. What it fails with counts too."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._of_store_calls.record(time.perf_counter() - began_s)
            self._of_batches.record(commands)

    def answered(
        self, command: str, receipt: CommandReceipt | None, cause: PolystreamError | None, trace: TraceContext | None
    ) -> None:
        """Take note of an answer. `command` is empty where the catalog has none of its name."""
        if cause is not None:
            self._dead_letters.add(1, self._store, cause.reason.name)
        if receipt is None:
            return
        self._answered.add(1, command, self._store, _outcome(receipt))
        if receipt.duplicate or not command or is_waiting(receipt):
            return
        accepted, completed = receipt.accept_time, receipt.complete_time
        took_s = completed.seconds - accepted.seconds + (completed.nanos - accepted.nanos) / 1e9
        self._applied.of(command, self._store).record(max(0.0, took_s), trace)

    def register(
        self,
        metrics: Metrics,
        *,
        health: PartHealth,
        tracing: Tracing,
        deferred: Callable[[], int],
    ) -> None:
        """Register all of them. `deferred` tells how many commands wait for their users."""
        tables: Sequence[HistogramTable | CounterTable] = (
            *(self.sent, self.retries, self._answered, self._dead_letters),
            *(self._rounds, self._store_calls, self._batches, self._applied),
        )
        for table in tables:
            metrics.add(table)
        of_store: Mapping[str, str] = {STORE: self._store}
        metrics.observe_one(metric_list.CONSUMED, lambda: self.consumed, {MESSAGING_GROUP: self._group})
        metrics.observe_one(metric_list.DEFERRED, deferred, of_store)
        metrics.observe(metric_list.SPANS_DROPPED, tracing.losses.read)
        counts = {"passed_over": metric_list.PASSED_OVER, "set_apart": metric_list.SET_APART}
        of_a_store = {
            "parked_keys": metric_list.PARKED_KEYS,
            "parked_records": metric_list.PARKED_RECORDS,
            "passed_before": metric_list.PASSED_BEFORE,
            "waits_cut_short": metric_list.CUT_SHORT,
            "contents_checked": metric_list.CONTENTS_CHECKED,
            "contents_changed": metric_list.CONTENTS_CHANGED,
        }
        dependencies = (self._store.lower(), USERS_IN, "kafka", "schema_registry")
        observe_health(metrics, health, dependencies, counts)
        for name, spec in of_a_store.items():
            observe_count(metrics, health, name, spec, of_store)


def _outcome(receipt: CommandReceipt) -> str:
    if is_waiting(receipt):
        return WAITING
    if receipt.dead_lettered:
        return DEAD_LETTERED
    return REFUSED if has_failed(receipt) else SUCCEEDED
