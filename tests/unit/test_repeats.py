"""What a library repeats is told once in a while, with how often it was said."""

import logging

from mesh.telemetry.repeats import RepeatCounter, Repeats


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _record(logger: str, message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord(logger, logging.ERROR, __file__, 1, message, arguments, None)


def test_a_repetition_is_left_out_and_counted() -> None:
    """The first passes at once, the next one after the interval, with the number of those between."""
    clock = _Clock()
    repeats = Repeats(("kafka",), 10, clock)
    assert repeats.filter(_record("kafka", "%s [%s] %s", "FAIL", "lane", "refused after 1 ms"))
    for second in (1.0, 5.0, 9.9):
        clock.now_s = second
        assert not repeats.filter(_record("kafka", "%s [%s] %s", "FAIL", "lane", f"refused after {second} ms"))
    clock.now_s = 10.0
    told = _record("kafka", "%s [%s] %s", "FAIL", "lane", "refused after 2 ms")
    assert repeats.filter(told)
    assert told.getMessage() == "FAIL [lane] refused after 2 ms (3 more like it were left out before)"
    clock.now_s = 20.0
    alone = _record("kafka", "FAIL [lane] 100% refused")
    assert repeats.filter(alone)
    assert alone.getMessage() == "FAIL [lane] 100% refused"


def test_other_kinds_and_other_loggers_pass() -> None:
    """Another event of the same library is no repetition, and the platform's own records always pass."""
    repeats = Repeats(("kafka", "opentelemetry"), 10, _Clock())
    assert repeats.filter(_record("kafka", "FAIL [lane] refused"))
    assert repeats.filter(_record("kafka", "SESSTMOUT [lane] timed out"))
    assert repeats.filter(_record("opentelemetry.exporter", "FAIL once"))
    assert not repeats.filter(_record("opentelemetry.exporter", "FAIL twice"))
    for _ in range(3):
        assert repeats.filter(_record("kafkaesque", "FAIL"))
        assert repeats.filter(_record("processor.lanes", "FAIL"))


def test_what_happens_often_is_told_once_an_interval_with_how_often() -> None:
    """The first time at once."""
    now_s = 100.0
    counter = RepeatCounter(10.0, lambda: now_s)
    assert [counter.count() for _ in range(1000)] == [1, *[0] * 999]
    now_s = 109.9
    assert counter.count() == 0
    now_s = 110.0
    assert [counter.count() for _ in range(3)] == [1001, 0, 0]
