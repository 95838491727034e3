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

    host: str = "127.0.0.1"  # name or address of the server
    port: int = 5432  # its port; `up` with engines of its own uses its own
    user: str = "user"  # the role to log in as
    password: SecretStr = SecretStr("password")  # its password
    db: str = "streaming_db"  # the database
    # How connections are encrypted, in libpq's words.
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    connect_timeout_s: int = 3  # how long to try to connect, in seconds

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

    url: str = "mongodb://127.0.0.1:27017/streaming_db"  # the URL, with credentials, TLS and the database in it


class RedisSettings(_Settings):
    """Redis or Valkey."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: str = "redis://127.0.0.1:6379/0"  # the URL, with credentials in it; `rediss:` for TLS


class KafkaSettings(_Settings):
    """Kafka, with the credentials that librdkafka takes."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: str = "127.0.0.1:9092"  # the brokers to begin with, `host:port`, comma separated
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"  # encryption and login
    sasl_mechanism: str = ""  # such as `SCRAM-SHA-512`, where there is a login
    sasl_username: str = ""  # who logs in
    sasl_password: SecretStr = SecretStr("")  # with which password
    ssl_ca_location: str = ""  # file of the authority that signed the brokers' certificates
    # After that long without a sign of life, a lane's partitions go to another. Brokers take 6000 and more, if they
    # are not told otherwise; one that forms a group only after half of it is better off with less.
    session_timeout_ms: int = 6000
    # How long a broker may hold an empty fetch; it answers when a record comes. One that looks for records less often
    # than at once is the quicker, and the busier, the shorter this is.
    fetch_wait_max_ms: int = 500

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

    def group_config(self, group: str) -> dict[str, str | int]:
        """Return what the members of a consumer group have in common."""
        return {
            "group.id": group,
            "session.timeout.ms": self.session_timeout_ms,
            # librdkafka's own three seconds may be more than the whole timeout.
            "heartbeat.interval.ms": self.session_timeout_ms // 4,
            "fetch.wait.max.ms": self.fetch_wait_max_ms,
        }


class RegistrySettings(_Settings):
    """The schema registry, by the Confluent API's base URL."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_")

    url: str = "http://127.0.0.1:8181"  # the base URL of the Confluent API
    timeout_s: float = 5.0  # how long to wait for an answer, in seconds


class EventStoreSettings(_Settings):
    """Where the monitor keeps its event documents: OpenSearch where a host is named, else a file."""

    # host:port or URL; where it is empty, a file keeps the events
    elasticsearch_host: str = Field("", validation_alias="ELASTICSEARCH_HOST")
    user: str = Field("", validation_alias="ELASTICSEARCH_USER")  # who logs in, where there is a login
    password: SecretStr = Field(SecretStr(""), validation_alias="ELASTICSEARCH_PASSWORD")  # with which password
    ca_file: str = Field("", validation_alias="ELASTICSEARCH_CA_FILE")  # of its certificate, where it is a private one
    timeout_s: float = Field(5.0, validation_alias="ELASTICSEARCH_TIMEOUT_S")  # slower is as good as down
    # How large the spool may become, which takes over while the store is away.
    spool_max_bytes: int = Field(512 * 1024 * 1024, validation_alias="MONITOR_SPOOL_MAX_BYTES")
    data_dir: Path = Field(Path(".data/monitor"), validation_alias="MONITOR_DATA_DIR")  # of the monitor's files


class TelemetrySettings(_Settings):
    """Logs and spans. Sampling itself follows the standard OTEL_TRACES_SAMPLER settings."""

    # What is logged.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias="LOG_LEVEL")
    log_format: Literal["json", "console"] = Field("json", validation_alias="LOG_FORMAT")  # how
    # Where spans go.
    otlp_endpoint: str = Field("http://127.0.0.1:4317", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    sdk_disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")  # makes no spans at all
    # Which commands are traced; beside the standard names, `parentbased_ratelimited` traces a number a second.
    sampler: str = Field("parentbased_ratelimited", validation_alias="OTEL_TRACES_SAMPLER")
    sampler_arg: float = Field(100.0, validation_alias="OTEL_TRACES_SAMPLER_ARG")  # traces a second


class GatewaySettings(_Settings):
    """The gateway's own settings."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    name: str = "gateway-0"  # stable over restarts: names the consumer group that follows the receipts
    host: str = "127.0.0.1"  # the address that it listens on
    port: int = 50051  # the port that it listens on
    server: Literal["native", "grpcio"] = "native"  # the HTTP/2 below gRPC
    demo_data: bool = Field(False, validation_alias="DEMO_DATA")  # fills commands that say nothing
    monitor_address: str = Field("127.0.0.1:4317", validation_alias="MONITOR_ADDRESS")  # asked for the event log
    max_in_flight_commands: int = 4096  # commands waiting for Kafka's acknowledgement
    kafka_ack_timeout_s: float = 10.0  # after which a command is answered as not taken, in seconds
    max_request_bytes: int = 64 * 1024  # of one request
    operation_ttl_s: int = 24 * 3600  # how long Redis keeps an operation, in seconds
    operation_memory_max: int = 50_000  # operations kept in memory
    drain_timeout_s: float = 10.0  # for what is under way when it stops, in seconds


class LaneSettings(_Settings):
    """The settings of one processor lane."""

    model_config = SettingsConfigDict(env_prefix="LANE_")

    name: str = "lane-0"  # stable over restarts
    max_batch_records: int = 500  # how many commands it applies at once, at the most
    max_batch_wait_s: float = 0.05  # how long it waits for more of them, in seconds
    store_backoff_max_s: float = 2.0  # the longest pause between tries while its store is away, in seconds
    max_deferred_records: int = 2000  # commands that wait for a user to be known
    user_wait_max_s: float = 60.0  # how long they wait before they are refused, in seconds
    marker_ttl_s: int = 7 * 24 * 3600  # how long a store remembers that it applied a command
    ready_file: str = Field("", validation_alias="READY_FILE")  # written while the lane works


class MigrationSettings(_Settings):
    """The settings of the stores' migration."""

    store_wait_max_s: float = Field(60.0, validation_alias="STORE_WAIT_MAX_S")  # for stores that are starting
    demo_data: bool = Field(False, validation_alias="DEMO_DATA")  # puts the fixtures of the tour there


class JaegerSettings(_Settings):
    """The Jaeger that the monitor passes the spans on to which it receives."""

    # `host:port` or `http://host:port`, or `https://` for TLS; where it is empty, nothing is passed on
    otlp_endpoint: str = Field("", validation_alias="JAEGER_OTLP_ENDPOINT", pattern=r"^((https?://)?[^/:]+:\d+/?)?$")
    # What waits for a Jaeger that is away or slow; beyond it, the oldest is dropped.
    queue_max_bytes: int = Field(16 * 1024 * 1024, validation_alias="JAEGER_QUEUE_MAX_BYTES", gt=0)
    export_timeout_s: float = Field(5.0, validation_alias="JAEGER_EXPORT_TIMEOUT_S", gt=0)  # of one attempt, in seconds
    drain_timeout_s: float = Field(2.0, validation_alias="JAEGER_DRAIN_TIMEOUT_S", ge=0)  # at the stop, in seconds


class DashboardsSettings(_Settings):
    """The OpenSearch Dashboards or Kibana that is given the platform's index pattern and dashboard."""

    model_config = SettingsConfigDict(env_prefix="DASHBOARDS_")

    url: str = "http://127.0.0.1:5601"  # with its base path, if it has one
    user: str = ""  # where it asks who one is
    password: SecretStr = SecretStr("")  # of that user
    ca_file: str = ""  # of its certificate, where it is a private one
    wait_max_s: float = Field(180.0, gt=0)  # for it to be ready and to take everything, in seconds
    timeout_s: float = Field(30.0, gt=0)  # of one request, in seconds


class MonitorSettings(_Settings):
    """The monitor's own settings."""

    model_config = SettingsConfigDict(env_prefix="MONITOR_")

    host: str = "127.0.0.1"  # the address that it listens on
    http_port: int = 8089  # the dashboard's port
    otlp_port: int = 4317  # the port of OTLP, and of its own gRPC service
    retention_days: int = 7  # how long events and spans are kept
    max_spans: int = 500_000  # how many spans are kept at the most
    endpoints_json: str = "{}"  # the addresses that the dashboard links to
    gateway_address: str = "127.0.0.1:50051"  # asked for the platform's health
