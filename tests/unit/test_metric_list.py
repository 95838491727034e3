"""The list of metrics, what the code counts in, and the bounds on both."""

import re

import pytest

from gateway.call_metrics import GRPC, GRPC_WEB, REST, CallMetrics
from mesh.catalog import STORES, load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.telemetry import names
from mesh.telemetry.context import trace_context
from mesh.telemetry.metric_list import (
    APPLY_DURATION,
    COMMANDS,
    METRICS,
    OPERATION_DURATION,
    OVERFLOW,
    RPC_DURATION,
    SERIES_MAX,
    MetricKind,
    Service,
    metrics_of,
)
from mesh.telemetry.prometheus import prometheus_name
from mesh.telemetry.tallies import CounterTable, HistogramTable

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_UNIT = re.compile(r"s|By|1|\{[a-z_]+\}")
_TRACE = trace_context("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


def test_each_metric_has_one_name_a_unit_and_a_sentence() -> None:
    """The name by OpenTelemetry's rules, the unit UCUM's; one name for Prometheus, too."""
    for spec in METRICS:
        assert _NAME.fullmatch(spec.name), spec
        assert _UNIT.fullmatch(spec.unit), spec
        assert spec.description.endswith("."), spec
        assert spec.services, spec
        assert bool(spec.bounds) == (spec.kind is MetricKind.HISTOGRAM), spec
        assert list(spec.bounds) == sorted(set(spec.bounds)), spec
    assert len({spec.name for spec in METRICS}) == len({prometheus_name(spec) for spec in METRICS}) == len(METRICS)


def test_attributes_are_those_of_spans_and_never_a_persons() -> None:
    """Each is in the list of attributes; what identifies a command, a user or a place on a topic is none of them."""
    known = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    used = {attribute for spec in METRICS for attribute in spec.attributes}
    assert used <= known
    assert not used & {names.CONVERSATION_ID, names.MESSAGING_OFFSET, names.MESSAGING_PARTITION, "user_id"}


@pytest.mark.parametrize("service", Service)
def test_a_process_has_no_more_series_than_it_may(service: Service) -> None:
    """All metrics together, each with the series that others share; and each has room for all that there can be."""
    assert sum(spec.series_max + 1 for spec in metrics_of(service)) <= SERIES_MAX
    catalog = load_catalog()
    rpcs = sum(len(described.methods) for described in catalog.services)
    assert RPC_DURATION.series_max >= 3 * 3 * rpcs  # three doors, three statuses
    assert COMMANDS.series_max >= 3 * 3 * len(catalog.commands)
    assert OPERATION_DURATION.series_max >= 2 * len(catalog.commands)
    assert APPLY_DURATION.series_max >= max(len(catalog.for_store(store)) for store in STORES)


def test_values_beyond_the_bound_share_one_series() -> None:
    """However many different ones come, the table grows by one more; what is known stays apart."""
    histogram, counter = HistogramTable(APPLY_DURATION), CounterTable(COMMANDS)
    for number in range(1000):
        histogram.of(f"Command{number}", "REDIS").record(0.1)
        counter.add(1, f"Command{number}", GRPC, "accepted", "")
    histogram.of("Command0", "REDIS").record(0.1)
    series = histogram.read()
    assert len(series) == APPLY_DURATION.series_max + 1
    assert sum(series[0][1].counts) == 2
    (overflow,) = (tally for attributes, tally in series if OVERFLOW in attributes)
    assert sum(overflow.counts) == 1000 - APPLY_DURATION.series_max
    counts = counter.read()
    assert len(counts) == COMMANDS.series_max + 1
    assert sum(count for _, count in counts) == 1000


def test_a_value_is_in_its_bucket_and_a_traced_one_its_exemplar() -> None:
    """A bound belongs to the bucket below it; what is not traced leaves no exemplar."""
    tally = HistogramTable(RPC_DURATION).of("a/B", GRPC, "OK")
    tally.record(0.001, _TRACE)
    tally.record(100.0, _TRACE._replace(sampled=False))
    assert (tally.counts[1], tally.counts[-1], sum(tally.counts)) == (1, 1, 2)
    assert tally.total == pytest.approx(100.001)
    ((bucket, exemplar),) = tally.exemplars.items()
    assert (bucket, exemplar.value, exemplar.trace_id) == (1, 0.001, _TRACE.trace_id)


def test_commands_are_counted_by_what_became_of_them() -> None:
    """Accepted ones from their durations; queries are calls, and no commands."""
    calls = CallMetrics({"p.S/CreateUser": "CreateUser"})
    calls.succeeded("p.S/CreateUser", GRPC, 0.0, None)
    calls.succeeded("p.S/GetUser", REST, 0.0, None)
    for reason in (Reason.INVALID_FIELD, Reason.TOO_MANY_COMMANDS, Reason.KAFKA_UNAVAILABLE, Reason.INTERNAL):
        calls.failed("p.S/CreateUser", GRPC_WEB, 0.0, PolystreamError(reason), None)
    calls.failed("p.S/GetUser", REST, 0.0, None, None)
    told = {(labels[names.OUTCOME], labels.get(names.ERROR_TYPE, "")): count for count, labels in calls.read_commands()}
    assert told == {
        ("accepted", ""): 1,
        ("refused", "INVALID_FIELD"): 1,
        ("shed", "TOO_MANY_COMMANDS"): 1,
        ("shed", "KAFKA_UNAVAILABLE"): 1,
        ("failed", "INTERNAL"): 1,
    }
    assert {labels[names.RPC_STATUS] for labels, _ in calls.durations.read()} >= {"OK", "CANCELLED", "UNAVAILABLE"}
