"""Every metric that the platform emits: this list is all there is, and what each one says.

Where OpenTelemetry's semantic conventions have a name, it is that one
(https://opentelemetry.io/docs/specs/semconv/); `polystream.` stands before the others. Units are UCUM's, with what is
counted in braces. An attribute has a value from a set that the code knows, such as a command of the catalog, a store or
a reason: never one that a client chose.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mesh.telemetry import names

SERIES_MAX: Final = 2000  # that one process emits, whatever happens: a series is one set of attributes of one metric
OVERFLOW: Final = "otel.metric.overflow"  # the attribute of what finds no room, as OpenTelemetry's SDKs have it


class Service(StrEnum):
    """A service, by the `service.name` of its spans and metrics."""

    GATEWAY = "gateway"
    PROCESSOR = "processor"  # each lane is a process of it
    MONITOR = "monitor"


class MetricKind(StrEnum):
    """A kind of instrument, in OpenTelemetry's words."""

    COUNTER = "counter"  # since the process began; it only grows
    UP_DOWN_COUNTER = "updowncounter"  # an amount, which may be summed over processes
    GAUGE = "gauge"  # a reading, which may not
    HISTOGRAM = "histogram"  # how many values are in each bucket


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: what it measures, in which unit, by which attributes, and which services emit it."""

    name: str
    kind: MetricKind
    unit: str
    description: str
    services: frozenset[Service]
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()  # of a histogram: the upper bounds of its buckets, but for the last one
    series_max: int = 1  # how many sets of attributes one process may have; what is more is told under OVERFLOW


_GATEWAY: Final = frozenset({Service.GATEWAY})
_LANES: Final = frozenset({Service.PROCESSOR})
_MONITOR: Final = frozenset({Service.MONITOR})
_ALL: Final = frozenset(Service)
# Half a millisecond to half a minute: a command takes a few milliseconds, and minutes where a store is away.
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_COUNTER: Final = MetricKind.COUNTER
_AMOUNT: Final = MetricKind.UP_DOWN_COUNTER
_GAUGE: Final = MetricKind.GAUGE
_HISTOGRAM: Final = MetricKind.HISTOGRAM

# What comes in, and how it ends.
RPC_DURATION: Final = MetricSpec(
    "rpc.server.call.duration",
    _HISTOGRAM,
    "s",
    "How long a call took, from the request to the answer: of a command, until Kafka had acknowledged it.",
    _GATEWAY,
    (names.RPC_METHOD, names.DOOR, names.RPC_STATUS),
    _SECONDS,
    series_max=800,
)
COMMANDS: Final = MetricSpec(
    "polystream.commands",
    _COUNTER,
    "{command}",
    "Commands that were answered, by outcome: accepted; refused for what they say; shed for want of room, of time or "
    "of an engine; failed by a fault.",
    _GATEWAY,
    (names.COMMAND, names.DOOR, names.OUTCOME, names.ERROR_TYPE),
    series_max=400,
)
COMMANDS_IN_FLIGHT: Final = MetricSpec(
    "polystream.commands.in_flight",
    _AMOUNT,
    "{command}",
    "Commands that wait for Kafka's acknowledgement.",
    _GATEWAY,
)
OPERATION_DURATION: Final = MetricSpec(
    "polystream.operation.duration",
    _HISTOGRAM,
    "s",
    "How long a command took from its acceptance until the last of its stores had answered.",
    _GATEWAY,
    (names.COMMAND, names.STATE),
    _SECONDS,
    series_max=100,
)
OPERATIONS_REMEMBERED: Final = MetricSpec(
    "polystream.operations.remembered", _AMOUNT, "{operation}", "Operations in the gateway's memory.", _GATEWAY
)
STREAMS_OPEN: Final = MetricSpec(
    "polystream.streams.open", _AMOUNT, "{stream}", "Streams and waiting calls that are open.", _GATEWAY
)

# Kafka.
SENT: Final = MetricSpec(
    "messaging.client.sent.messages",
    _COUNTER,
    "{message}",
    "Records that Kafka was given, and with `error.type` those that it did not take.",
    _GATEWAY | _LANES,
    (names.MESSAGING_DESTINATION, names.ERROR_TYPE),
    series_max=40,
)
CONSUMED: Final = MetricSpec(
    "messaging.client.consumed.messages",
    _COUNTER,
    "{message}",
    "Records that were read.",
    _ALL,
    (names.MESSAGING_GROUP,),
)
PROCESS_DURATION: Final = MetricSpec(
    "messaging.process.duration",
    _HISTOGRAM,
    "s",
    "How long a batch took, from the read until Kafka had its receipts.",
    _LANES,
    (names.MESSAGING_GROUP,),
    _SECONDS,
)
LAG: Final = MetricSpec(
    "polystream.lag.records",
    _AMOUNT,
    "{record}",
    "How far the process is behind: records that are there and not done. Of a gateway, receipts that it follows.",
    _ALL,
)
LAG_AGE: Final = MetricSpec("polystream.lag.age", _GAUGE, "s", "The age of the oldest of these records.", _ALL)
PASSED_OVER: Final = MetricSpec(
    "polystream.records.passed_over", _COUNTER, "{record}", "Records that tell of nothing, or cannot be read.", _ALL
)
SET_APART: Final = MetricSpec(
    "polystream.records.set_apart",
    _COUNTER,
    "{record}",
    "What can never be applied or kept: records to the dead-letter topic, events and spans to a file.",
    _LANES | _MONITOR,
)

# The lanes.
LANE_COMMANDS: Final = MetricSpec(
    "polystream.lane.commands",
    _COUNTER,
    "{command}",
    "Commands that a store has answered, by outcome: succeeded, refused, dead_lettered, waiting behind a parked one.",
    _LANES,
    (names.COMMAND, names.STORE, names.OUTCOME),
    series_max=120,
)
APPLY_DURATION: Final = MetricSpec(
    "polystream.command.apply.duration",
    _HISTOGRAM,
    "s",
    "How long it took from a command's acceptance until the store had applied or refused it.",
    _LANES,
    (names.COMMAND, names.STORE),
    _SECONDS,
    series_max=40,
)
STORE_DURATION: Final = MetricSpec(
    "db.client.operation.duration",
    _HISTOGRAM,
    "s",
    "How long a store took for a batch.",
    _LANES | _MONITOR,
    (names.DB_SYSTEM, names.DB_OPERATION),
    _SECONDS,
    series_max=4,
)
BATCH_SIZE: Final = MetricSpec(
    "polystream.lane.batch.size",
    _HISTOGRAM,
    "{command}",
    "How many commands were applied in one step.",
    _LANES,
    (names.STORE,),
    _SIZES,
)
DEFERRED: Final = MetricSpec(
    "polystream.lane.deferred",
    _AMOUNT,
    "{command}",
    "Commands that wait until it is told whether their users exist.",
    _LANES,
    (names.STORE,),
)
CUT_SHORT: Final = MetricSpec(
    "polystream.lane.waits_cut_short",
    _COUNTER,
    "{command}",
    "Of them, those that were answered early, since more waited than fit.",
    _LANES,
    (names.STORE,),
)
PASSED_BEFORE: Final = MetricSpec(
    "polystream.lane.passed_before",
    _COUNTER,
    "{command}",
    "Commands that came again long after the store had answered them.",
    _LANES,
    (names.STORE,),
)
DEAD_LETTERS: Final = MetricSpec(
    "polystream.dead_letters",
    _COUNTER,
    "{record}",
    "Records that were dead-lettered, by reason.",
    _LANES,
    (names.STORE, names.ERROR_TYPE),
    series_max=20,
)
PARKED_KEYS: Final = MetricSpec(
    "polystream.parked.keys",
    _GAUGE,
    "{key}",
    "Keys of the store with a command that was given up. Every lane of a store tells the same number.",
    _LANES,
    (names.STORE,),
)
PARKED_RECORDS: Final = MetricSpec(
    "polystream.parked.records",
    _GAUGE,
    "{record}",
    "Commands of these keys that were given up, or wait.",
    _LANES,
    (names.STORE,),
)
CONTENTS_CHECKED: Final = MetricSpec(
    "polystream.contents.checked",
    _COUNTER,
    "{content}",
    "Contents of the store that the lane has looked at, for changes by hand.",
    _LANES,
    (names.STORE,),
)
CONTENTS_CHANGED: Final = MetricSpec(
    "polystream.contents.changed",
    _GAUGE,
    "{content}",
    "Of them, those that were found changed and are still so.",
    _LANES,
    (names.STORE,),
)

# The monitor.
EVENTS: Final = MetricSpec("polystream.events.kept", _COUNTER, "{event}", "Events that were kept.", _MONITOR)
SPANS_RECEIVED: Final = MetricSpec(
    "polystream.spans.received", _COUNTER, "{span}", "Spans that the monitor was sent.", _MONITOR
)
SPOOL_SIZE: Final = MetricSpec(
    "polystream.spool.size",
    _AMOUNT,
    "By",
    "What waits in files for an event store that is away; 0 where the event log is a file itself.",
    _MONITOR,
)
FORWARD_QUEUE_SIZE: Final = MetricSpec(
    "polystream.forward_queue.size", _AMOUNT, "By", "Spans that wait for Jaeger, in memory.", _MONITOR
)
METRIC_SERIES: Final = MetricSpec(
    "polystream.metrics.series", _AMOUNT, "{series}", "Series of metrics that the monitor keeps.", _MONITOR
)
METRIC_POINTS_DROPPED: Final = MetricSpec(
    "polystream.metrics.points_dropped",
    _COUNTER,
    "{point}",
    "Points of metrics that the monitor was sent and did not keep.",
    _MONITOR,
    (names.CAUSE,),
    series_max=8,
)

# What a process works with, and itself.
RETRIES: Final = MetricSpec(
    "polystream.retries",
    _COUNTER,
    "{retry}",
    "Further tries of what could not be done, by the dependency that did not answer.",
    _LANES | _MONITOR,
    (names.DEPENDENCY,),
    series_max=10,
)
DEPENDENCY_UP: Final = MetricSpec(
    "polystream.dependency.up",
    _GAUGE,
    "1",
    "1 while a store, Kafka, the registry or another dependency answers the process, 0 while it waits for it.",
    _ALL,
    (names.DEPENDENCY,),
    series_max=10,
)
PART_STATE: Final = MetricSpec(
    "polystream.part.state",
    _GAUGE,
    "1",
    "1 for the state that the process's health is in, and 0 for the others.",
    _ALL,
    (names.HEALTH_STATE,),
    series_max=3,
)
SPANS_DROPPED: Final = MetricSpec(
    "polystream.spans.dropped",
    _COUNTER,
    "{span}",
    "Spans that were lost: the queue was full, nobody took them in time, or, at the monitor, they could not be kept or "
    "passed on.",
    _ALL,
    (names.CAUSE,),
    series_max=4,
)
EXPORTS_FAILED: Final = MetricSpec(
    "polystream.metrics.exports_failed",
    _COUNTER,
    "{export}",
    "How often nobody took the process's metrics. The next ones tell all that these would have.",
    _ALL,
)
CPU_TIME: Final = MetricSpec(
    "process.cpu.time", _COUNTER, "s", "Processor time that the process has used.", _ALL, (names.CPU_MODE,), (), 2
)
MEMORY: Final = MetricSpec("process.memory.usage", _AMOUNT, "By", "Memory of the process that is resident.", _ALL)
THREADS: Final = MetricSpec("process.thread.count", _AMOUNT, "{thread}", "Threads of the process.", _ALL)
FILES: Final = MetricSpec(
    "process.unix.file_descriptor.count", _AMOUNT, "{file_descriptor}", "Files and connections that it has open.", _ALL
)
UPTIME: Final = MetricSpec("process.uptime", _GAUGE, "s", "How long the process has run.", _ALL)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, MetricSpec))


def metrics_of(service: Service) -> tuple[MetricSpec, ...]:
    """Return the metrics that a service emits, in the order of the list."""
    return tuple(spec for spec in METRICS if service in spec.services)
