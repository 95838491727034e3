"""The probes, where the engines find them."""

from mesh.probes import (
    envoy_reaches,
    grpc_serves,
    http_answers,
    kafka_answers,
    mongodb_answers,
    postgresql_answers,
    redis_answers,
)

__all__ = [
    "envoy_reaches",
    "grpc_serves",
    "http_answers",
    "kafka_answers",
    "mongodb_answers",
    "postgresql_answers",
    "redis_answers",
]
