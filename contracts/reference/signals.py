"""Which service makes which spans and tells of which events. Its metrics are in `mesh.telemetry.metric_list`."""

from collections.abc import Mapping
from typing import Final

from mesh.telemetry import names
from mesh.telemetry.metric_list import Service

# By `service.name`. The gateway has a span of each call besides, which is named after the RPC.
SPANS: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.GATEWAY: (names.GATEWAY_SEND, names.GATEWAY_PROCESS),
    Service.PROCESSOR: (names.LANE_PROCESS, names.LANE_STORE, names.LANE_SEND),
    Service.MONITOR: (),
}
# By the service whose records the event is read from.
EVENTS: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.GATEWAY: ("command.accepted",),
    Service.PROCESSOR: (
        "command.received",
        "command.succeeded",
        "command.failed",
        "command.parked",
        "command.dead_lettered",
    ),
    Service.MONITOR: (),
}
