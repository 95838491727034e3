"""Every port of the platform, in one place."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on the loopback interface. The first eight are inherited and do not change."""

    edge: int = 8000  # REST, gRPC, gRPC-Web, /docs
    dashboard: int = 8089
    kafka: int = 9092
    postgresql: int = 5432
    mongodb: int = 27017
    redis: int = 6379
    opensearch: int = 9200
    schema_registry: int = 8181
    gateway: int = 50051  # gRPC of gateway-0; gateway-N listens N ports above gateway_spare
    gateway_spare: int = 50060
    otlp: int = 4317  # OTLP over gRPC, and the monitor's own gRPC service
    jaeger: int = 16686
    edge_admin: int = 9901

    def shifted(self, offset: int) -> "Ports":
        """Return the same ports, each moved by `offset`, so that platforms can run side by side."""
        moved = {field.name: getattr(self, field.name) + offset for field in fields(self)}
        for name, port in moved.items():
            if not 1024 <= port <= 65535:
                raise ValueError(f"--port-offset {offset} moves {name} to {port}, outside 1024 to 65535")
        return Ports(**moved)
