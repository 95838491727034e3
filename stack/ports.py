"""Every port of the platform, in one place."""

from dataclasses import astuple, dataclass, fields
from typing import Final

_PORT_MIN: Final = 1024  # below, only root may listen
PORT_MAX: Final = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on the loopback interface. The first eight are inherited and do not change."""

    rest: int = 8000  # the gateways: REST, gRPC-Web, gRPC, /docs
    dashboard: int = 8089  # the monitor's pages
    kafka: int = 9092  # the broker
    postgresql: int = 5432  # PostgreSQL
    mongodb: int = 27017  # MongoDB's protocol
    redis: int = 6379  # Redis's protocol
    opensearch: int = 9200  # OpenSearch, in the native set
    schema_registry: int = 8181  # the registry, by the Confluent API
    gateway: int = 50051  # the gateways: gRPC alone, without the detour
    edge: int = 8443  # the edge, where it runs: REST, gRPC-Web, gRPC
    otlp: int = 4317  # OTLP over gRPC, and the monitor's own gRPC service
    jaeger: int = 16686  # Jaeger's pages and its query API, in the native set
    jaeger_grpc: int = 16685  # its query API over gRPC
    jaeger_otlp: int = 14317  # takes the spans that the monitor passes on
    jaeger_health: int = 13133  # tells whether Jaeger works
    metrics: int = 9464  # the monitor's `/metrics`; the next ones are the gateways' and the lanes', in their order

    def shifted(self, offset: int) -> "Ports":
        """Return the same ports, each moved by `offset`, so that platforms can run side by side."""
        moved = {field.name: getattr(self, field.name) + offset for field in fields(self)}
        for name, port in moved.items():
            if not _PORT_MIN <= port <= PORT_MAX:
                raise ValueError(f"--port-offset {offset} moves {name} to {port}, outside {_PORT_MIN} to {PORT_MAX}")
        return Ports(**moved)


OFFSET_MAX: Final = PORT_MAX - max(astuple(Ports()))
