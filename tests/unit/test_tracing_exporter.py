"""Spans that nobody takes for a while."""

import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mesh.telemetry import tracing
from mesh.telemetry.tracing import SpanLosses, _RetryingExporter

_TIMEOUT_S = 10.0
SPANS: Sequence[ReadableSpan] = [ReadableSpan("one"), ReadableSpan("two")]


class Receiver(SpanExporter):
    """Takes nothing until the test lets it; notes each try."""

    def __init__(self) -> None:
        self.takes = threading.Event()
        self.tries = 0
        self.tried_twice = threading.Event()
        self.taken: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take them, or not."""
        self.tries += 1
        if self.tries > 1:
            self.tried_twice.set()
        if not self.takes.is_set():
            return SpanExportResult.FAILURE
        self.taken += spans
        return SpanExportResult.SUCCESS


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A receiver that is away, and an exporter that does not pause for long."""
    monkeypatch.setattr(tracing, "_TRY_PAUSE_S", 0.01)
    return Receiver()


def test_spans_wait_for_a_receiver_that_is_away(receiver: Receiver) -> None:
    """They are sent once it is back, and nothing is counted as lost."""
    losses = SpanLosses()
    exporter = _RetryingExporter(receiver, losses)
    thread = threading.Thread(target=exporter.export, args=(SPANS,), daemon=True)
    thread.start()
    assert receiver.tried_twice.wait(_TIMEOUT_S)
    assert losses.settled == 0
    receiver.takes.set()
    thread.join(_TIMEOUT_S)
    assert receiver.taken == SPANS
    assert (losses.handed, losses.settled, losses.not_taken) == (2, 2, 0)


def test_a_stop_waits_for_nobody(receiver: Receiver) -> None:
    """One try is made, and then none for what is queued behind; what is lost is counted."""
    losses = SpanLosses()
    exporter = _RetryingExporter(receiver, losses)
    exporter.stop_waiting()
    assert exporter.export(SPANS) is SpanExportResult.FAILURE
    assert exporter.export(SPANS) is SpanExportResult.FAILURE
    assert receiver.tries == 1
    assert (losses.handed, losses.settled, losses.not_taken) == (4, 4, 4)


def test_spans_that_nobody_ever_takes_give_way(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the bound, the next ones have their turn."""
    monkeypatch.setattr(tracing, "_TRIES_MAX_S", 0.0)
    losses = SpanLosses()
    exporter = _RetryingExporter(receiver, losses)
    assert exporter.export(SPANS) is SpanExportResult.FAILURE
    receiver.takes.set()
    assert exporter.export(SPANS) is SpanExportResult.SUCCESS
    assert (losses.not_taken, losses.settled) == (2, 4)


def test_an_exporter_that_fails_settles_its_spans(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for them any more; the SDK logs why."""

    def fail(_: Sequence[ReadableSpan]) -> SpanExportResult:
        raise ValueError("this is no span")

    monkeypatch.setattr(receiver, "export", fail)
    losses = SpanLosses()
    with pytest.raises(ValueError, match="no span"):
        _RetryingExporter(receiver, losses).export(SPANS)
    assert (losses.handed, losses.settled, losses.not_taken) == (2, 2, 2)
