"""Settings, read from the environment and an optional `.env` file.

Each engine and each service has its own small class, so that a part is given only what it needs. A
malformed value stops the process with the variable's name; nothing falls back in silence.
"""

from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)


class PostgresSettings(_Settings):
    """PostgreSQL, under the names that the platform's users have in their `.env`."""

    model_config = SettingsConfigDict(env_prefix="POSTGRES_")

    host: str = "127.0.0.1"
    port: int = 5432
    user: str = "user"
    password: SecretStr = SecretStr("password")
    db: str = "streaming_db"
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    connect_timeout_s: int = 3

    @property
    def dsn(self) -> str:
        """A libpq URL, credentials included: never log it."""
        secret = quote(self.password.get_secret_value(), safe="")
        return (
            f"postgresql://{quote(self.user, safe='')}:{secret}@{self.host}:{self.port}/{self.db}"
            f"?sslmode={self.sslmode}&connect_timeout={self.connect_timeout_s}"
        )


class MongoSettings(_Settings):
    """MongoDB. The database is the one named in the URL."""

    model_config = SettingsConfigDict(env_prefix="MONGODB_")

    url: str = "mongodb://127.0.0.1:27017/streaming_db"


class RedisSettings(_Settings):
    """Redis or Valkey."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: str = "redis://127.0.0.1:6379/0"


class KafkaSettings(_Settings):
    """Kafka, with the credentials that librdkafka takes."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_ca_location: str = ""
    # After that long without a sign of life, a lane's partitions go to another. Brokers take 6000 and more, if they
    # are not told otherwise; one that forms a group only after half of it is better off with less.
    session_timeout_ms: int = 6000

    def client_config(self, client_id: str) -> dict[str, str | int | bool]:
        """Return what every librdkafka client of the platform has in common."""
        config: dict[str, str | int | bool] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": client_id,
            "security.protocol": self.security_protocol,
            # A broker that comes back must be noticed within a second, not after librdkafka's ten.
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            "log.connection.close": False,
            # A topic has the partitions that provisioning gives it, not a broker's default.
            "allow.auto.create.topics": False,
        }
        optional = {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password.get_secret_value(),
            "ssl.ca.location": self.ssl_ca_location,
        }
        return config | {name: value for name, value in optional.items() if value}


class RegistrySettings(_Settings):
    """The schema registry, by the Confluent API's base URL."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_")

    url: str = "http://127.0.0.1:8181"
    timeout_s: float = 5.0


class EventStoreSettings(_Settings):
    """Where the monitor keeps its event documents: OpenSearch where a host is named, else a file."""

    elasticsearch_host: str = Field("", validation_alias="ELASTICSEARCH_HOST")  # host:port or URL
    user: str = Field("", validation_alias="ELASTICSEARCH_USER")
    password: SecretStr = Field(SecretStr(""), validation_alias="ELASTICSEARCH_PASSWORD")
    ca_file: str = Field("", validation_alias="ELASTICSEARCH_CA_FILE")  # of its certificate, where it is a private one
    timeout_s: float = Field(5.0, validation_alias="ELASTICSEARCH_TIMEOUT_S")  # slower is as good as down
    spool_max_bytes: int = Field(512 * 1024 * 1024, validation_alias="MONITOR_SPOOL_MAX_BYTES")
    data_dir: Path = Field(Path(".data/monitor"), validation_alias="MONITOR_DATA_DIR")


class TelemetrySettings(_Settings):
    """Logs and spans. Sampling itself follows the standard OTEL_TRACES_SAMPLER settings."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias="LOG_LEVEL")
    log_format: Literal["json", "console"] = Field("json", validation_alias="LOG_FORMAT")
    otlp_endpoint: str = Field("http://127.0.0.1:4317", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    sdk_disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")
    sampler: str = Field("parentbased_ratelimited", validation_alias="OTEL_TRACES_SAMPLER")
    sampler_arg: float = Field(100.0, validation_alias="OTEL_TRACES_SAMPLER_ARG")  # traces a second


class GatewaySettings(_Settings):
    """The gateway's own settings."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    name: str = "gateway-0"  # stable over restarts: names the consumer group that follows the receipts
    host: str = "127.0.0.1"
    port: int = 50051
    server: Literal["native", "grpcio"] = "native"
    demo_data: bool = Field(False, validation_alias="DEMO_DATA")
    monitor_address: str = Field("127.0.0.1:4317", validation_alias="MONITOR_ADDRESS")
    max_in_flight_commands: int = 4096  # commands waiting for Kafka's acknowledgement
    kafka_ack_timeout_s: float = 10.0
    max_request_bytes: int = 64 * 1024
    operation_ttl_s: int = 24 * 3600
    operation_memory_max: int = 50_000  # operations kept in memory
    drain_timeout_s: float = 10.0


class LaneSettings(_Settings):
    """The settings of one processor lane."""

    model_config = SettingsConfigDict(env_prefix="LANE_")

    name: str = "lane-0"  # stable over restarts
    max_batch_records: int = 500
    max_batch_wait_s: float = 0.05
    store_backoff_max_s: float = 2.0
    max_deferred_records: int = 2000  # commands that wait for a user to be known
    user_wait_max_s: float = 60.0
    marker_ttl_s: int = 7 * 24 * 3600  # how long a store remembers that it applied a command
    ready_file: str = Field("", validation_alias="READY_FILE")  # written while the lane works


class MigrationSettings(_Settings):
    """The settings of the stores' migration."""

    store_wait_max_s: float = Field(60.0, validation_alias="STORE_WAIT_MAX_S")  # for stores that are starting
    demo_data: bool = Field(False, validation_alias="DEMO_DATA")  # puts the fixtures of the tour there


class MonitorSettings(_Settings):
    """The monitor's own settings."""

    model_config = SettingsConfigDict(env_prefix="MONITOR_")

    host: str = "127.0.0.1"
    http_port: int = 8089
    otlp_port: int = 4317
    retention_days: int = 7
    max_spans: int = 500_000
    endpoints_json: str = "{}"  # the addresses that the dashboard links to
    gateway_address: str = "127.0.0.1:50051"  # asked for the platform's health
