"""Settings, read from the environment and from the file that POLYSTREAM_ENV_FILE names.

Each engine and each service has its own small class, so that a part is given only what it needs. Every class raises
SettingsError, which names the variable and where it stands, for a value that is not valid: the process then does not
start. Nothing falls back in silence. A name that ends in `_s`, `_ms` or `_bytes` has its unit there.

The comment beside a setting is its line in the documentation.
"""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from mesh.hosts import in_url
from mesh.setting_values import (
    Address,
    Addresses,
    Certificate,
    Collector,
    Count,
    File,
    Host,
    JsonObject,
    MetricsExporters,
    MongoUrl,
    NotNegative,
    OptionalWebUrl,
    OwnPort,
    Port,
    Positive,
    PostgresName,
    RedisUrl,
    SearchHost,
    WebUrl,
    exporters_in,
)
from mesh.settings_base import Settings


class PostgresSettings(Settings):
    """PostgreSQL. Its variables keep the names that existing `.env` files use."""

    model_config = SettingsConfigDict(env_prefix="POSTGRES_")

    host: Host = "127.0.0.1"  # the server's name or address
    port: Port = 5432  # the server's port; when `up` starts PostgreSQL itself, it chooses the port
    user: PostgresName = "user"  # the role that logs in
    password: SecretStr = SecretStr("password")  # the role's password
    db: PostgresName = "streaming_db"  # the name of the database
    # Whether connections are encrypted, and what is checked; the words are libpq's own.
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    # The file with the certificate of the authority that signed the server's; empty for libpq's own place, which is
    # `~/.postgresql/root.crt`.
    sslrootcert: Certificate = ""
    connect_timeout_s: Count = 3  # how long one attempt to connect may take, in seconds

    @property
    def dsn(self) -> str:
        """The URL that libpq takes. It has the password: never log it."""
        secret = quote(self.password.get_secret_value(), safe="")
        certificate = f"&sslrootcert={quote(self.sslrootcert, safe='')}" if self.sslrootcert else ""
        return (
            f"postgresql://{quote(self.user, safe='')}:{secret}@{in_url(self.host)}:{self.port}"
            f"/{quote(self.db, safe='')}"
            f"?sslmode={self.sslmode}&connect_timeout={self.connect_timeout_s}{certificate}"
        )


class MongoSettings(Settings):
    """MongoDB. The URL names the database."""

    model_config = SettingsConfigDict(env_prefix="MONGODB_")

    # Where MongoDB is, with credentials, TLS options and the name of the database.
    url: MongoUrl = "mongodb://127.0.0.1:27017/streaming_db"


class RedisSettings(Settings):
    """Redis or Valkey."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: RedisUrl = "redis://127.0.0.1:6379/0"  # where Redis is, with credentials; `rediss:` for TLS


class KafkaSettings(Settings):
    """Kafka. The words for encryption and login are librdkafka's."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    # `host:port` of some brokers, separated by commas; they name the others.
    bootstrap_servers: Addresses = "127.0.0.1:9092"
    # Whether connections are encrypted (SSL), and whether the client logs in (SASL).
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str = ""  # how the client logs in, such as `SCRAM-SHA-512`; empty without a login
    sasl_username: str = ""  # the user that logs in
    sasl_password: SecretStr = SecretStr("")  # that user's password
    # The file with the certificate of the authority that signed the brokers'; empty for those that the system trusts.
    ssl_ca_location: Certificate = ""
    # How long a member of a consumer group may be silent, in milliseconds; then its partitions go to another member.
    # By default a broker accepts no less than 6000 (`group.min.session.timeout.ms`).
    session_timeout_ms: Count = 6000
    # How long a broker may hold a fetch that finds no record, in milliseconds. Kafka answers at once when a record
    # comes. A broker that only looks again after this time answers sooner with a smaller value, and works more.
    fetch_wait_max_ms: int = Field(500, ge=0)
    # How many partitions `user_events` has, and so how many lanes of one store can share its work. Every part has to be
    # given the same number. More are added in the order of steps that "Partitions of user_events" describes.
    command_partitions: int = Field(6, ge=1, le=1000)

    def client_config(self, client_id: str) -> dict[str, str | int | bool]:
        """Return librdkafka's settings that every client of the platform shares, named as in its CONFIGURATION.md.

        `client_id` is the name that brokers log the client under.
        """
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
        """Return librdkafka's settings for a consumer of the group `group`, beside those of `client_config`."""
        return {
            "group.id": group,
            "session.timeout.ms": self.session_timeout_ms,
            # librdkafka's own three seconds may be more than the whole timeout.
            "heartbeat.interval.ms": self.session_timeout_ms // 4,
            "fetch.wait.max.ms": self.fetch_wait_max_ms,
            # A topic that is made anew is to be found at once.
            "topic.metadata.refresh.interval.ms": 2000,
        }


class RegistrySettings(Settings):
    """The schema registry, which speaks Confluent's API."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_")

    url: WebUrl = "http://127.0.0.1:8181"  # the base URL of its API
    timeout_s: Positive = 5.0  # how long one request may take, in seconds
    # The file with the certificate of the authority that signed its own; empty for those that the system trusts.
    ca_file: File = ""
    proxy_url: OptionalWebUrl = ""  # the proxy by which it is reached; empty to reach it directly


class EventStoreSettings(Settings):
    """Where the monitor keeps events and spans: in OpenSearch if a host is set, else in a file."""

    # `host:port` or a URL, of OpenSearch or Elasticsearch; empty to keep events in a file.
    elasticsearch_host: SearchHost = Field("", validation_alias="ELASTICSEARCH_HOST")
    user: str = Field("", validation_alias="ELASTICSEARCH_USER")  # the user that logs in; empty without a login
    password: SecretStr = Field(SecretStr(""), validation_alias="ELASTICSEARCH_PASSWORD")  # that user's password
    # The file with the certificate of the authority that signed the server's; empty for those that the system trusts.
    ca_file: File = Field("", validation_alias="ELASTICSEARCH_CA_FILE")
    # The proxy by which the server is reached; empty to reach it directly.
    proxy_url: OptionalWebUrl = Field("", validation_alias="ELASTICSEARCH_PROXY_URL")
    # How long one request may take, in seconds; after that, the server counts as down.
    timeout_s: Positive = Field(5.0, validation_alias="ELASTICSEARCH_TIMEOUT_S")
    # How large the spool may become, in bytes. The spool keeps events and spans while the server is down.
    spool_max_bytes: Count = Field(512 * 1024 * 1024, validation_alias="MONITOR_SPOOL_MAX_BYTES")
    data_dir: Path = Field(Path(".data/monitor"), validation_alias="MONITOR_DATA_DIR")  # the monitor's folder


class TelemetrySettings(Settings):
    """Logs, spans and metrics. Variables that begin with `OTEL_` have OpenTelemetry's standard meaning."""

    # The least important lines that are still logged.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias="LOG_LEVEL")
    # One JSON object a line, or lines for people.
    log_format: Literal["json", "console"] = Field("json", validation_alias="LOG_FORMAT")
    # Where spans and metrics are sent, over OTLP with gRPC.
    otlp_endpoint: Collector = Field("http://127.0.0.1:4317", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    sdk_disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")  # turns spans and metrics off
    # Which commands are traced: a standard name, or `parentbased_ratelimited` for a limited number a second.
    sampler: Literal[
        "parentbased_ratelimited",
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field("parentbased_ratelimited", validation_alias="OTEL_TRACES_SAMPLER")
    # The number that the sampler takes: for `parentbased_ratelimited`, how many commands a second.
    sampler_arg: NotNegative = Field(50.0, validation_alias="OTEL_TRACES_SAMPLER_ARG")

    # How metrics leave the process: `otlp`, `prometheus` for `/metrics`, both with a comma between them, or `none`.
    # `up` and Compose set both.
    metrics_exporter: MetricsExporters = Field("otlp", validation_alias="OTEL_METRICS_EXPORTER")
    # How often metrics are sent, in milliseconds.
    metric_interval_ms: Count = Field(5000, validation_alias="OTEL_METRIC_EXPORT_INTERVAL")
    # The address that `/metrics` listens on.
    prometheus_host: Host = Field("localhost", validation_alias="OTEL_EXPORTER_PROMETHEUS_HOST")
    # Its port. `up` gives each process one of its own, from 9464 on.
    prometheus_port: OwnPort = Field(9464, validation_alias="OTEL_EXPORTER_PROMETHEUS_PORT")

    @property
    def metrics_exporters(self) -> frozenset[str]:
        """How metrics leave the process: `otlp`, `prometheus`, both or neither."""
        return exporters_in(self.metrics_exporter)

    @model_validator(mode="after")
    def _share_is_one(self) -> Self:
        if "traceidratio" in self.sampler and "sampler_arg" in self.model_fields_set and self.sampler_arg > 1:
            raise ValueError(f"OTEL_TRACES_SAMPLER_ARG is {self.sampler_arg:g}, and {self.sampler} takes 0 to 1")
        return self


class GatewaySettings(Settings):
    """The gateway's own settings."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    name: str = "gateway-0"  # must stay the same over restarts: the gateway's consumer group is named after it
    host: Host = "127.0.0.1"  # the address that it listens on
    port: OwnPort = 50051  # the port that it listens on for gRPC
    http_port: OwnPort = 8000  # the port that it listens on for REST, gRPC-Web and the documentation
    # Whether several gateways of one machine listen on the same ports (SO_REUSEPORT). Each needs a name of its own.
    shares_ports: bool = False
    # Which gRPC server to run: `native` has HTTP/2 in Rust (`pygrpc-native`) and takes commands as they come,
    # `native-tasks` is the same with a task for each call, `grpcio` is the standard one.
    server: Literal["native", "native-tasks", "grpcio"] = "native"
    # The origins whose pages may call REST and gRPC-Web, such as `https://app.example.com`, separated by commas.
    allowed_origins: str = ""
    # The names under which the HTTP port may be asked, beside this machine's own, separated by commas; `*` for any.
    # Bound to more than loopback, a gateway also takes addresses, and names that only a local network has.
    allowed_hosts: str = ""
    access_log: bool = False  # whether each request over HTTP leaves a JSON line in the gateway's log
    dashboard_url: OptionalWebUrl = ""  # where the dashboard is, which the page at /docs links to; empty for no link
    ready_file: str = ""  # a JSON file in which the gateway tells its health every second, while it runs
    http_max_connections: Count = 10_000  # how many HTTP connections may be open at once
    max_streams: Count = 5000  # how many streams may be open at once, over every door
    # Whether a POST to one of the earlier demo's paths that says nothing gets fake data.
    demo_data: bool = Field(False, validation_alias="DEMO_DATA")
    # `host:port` of the monitor, which the gateway asks for the event log.
    monitor_address: Address = Field("127.0.0.1:4317", validation_alias="MONITOR_ADDRESS")
    max_in_flight_commands: Count = 4096  # how many commands may wait for Kafka's acknowledgement at once
    # How long Kafka may take to acknowledge a command, in seconds; then the gateway answers that Kafka did not take it.
    kafka_ack_timeout_s: Positive = 10.0
    max_request_bytes: Count = 64 * 1024  # how large a request may be, in bytes
    operation_ttl_s: Count = 24 * 3600  # how long Redis keeps an operation, in seconds
    # How much of Redis's memory all operations may take together, in bytes; above that, the oldest give way before
    # their time, and the event log answers for them.
    operations_max_bytes: Count = 64 * 1024 * 1024
    # How much of Redis's memory the request IDs may take that were used, in bytes; above that, the oldest are
    # forgotten before their time, and gateways ask the stores for each one that is new.
    requests_max_bytes: Count = 32 * 1024 * 1024
    operation_memory_max: Count = 50_000  # how many operations the gateway keeps in memory
    drain_timeout_s: NotNegative = 10.0  # how long a gateway that stops waits for the calls under way, in seconds


class EdgeSettings(Settings):
    """The edge, where `up --edge` starts it."""

    model_config = SettingsConfigDict(env_prefix="EDGE_")

    # A file in PEM's form with the certificate that clients are shown, its chain after it; without it, plain text.
    certificate_file: File = ""
    key_file: File = ""  # a file in PEM's form with the certificate's key
    access_log: bool = False  # whether each request leaves a JSON line in the edge's log

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            there, missing = ("CERTIFICATE", "KEY") if self.certificate_file else ("KEY", "CERTIFICATE")
            raise ValueError(
                f"EDGE_{there}_FILE is set and EDGE_{missing}_FILE is not: set both, or leave both out for plain text"
            )
        return self


class LaneSettings(Settings):
    """The settings of one process of a lane."""

    model_config = SettingsConfigDict(env_prefix="LANE_")

    name: str = "lane-0"  # must stay the same over restarts
    max_batch_records: Count = 500  # how many commands a batch has at the most
    max_batch_wait_s: NotNegative = 0.05  # how long the lane waits for a batch to fill, in seconds
    # The longest pause before the lane tries a store again that does not answer, in seconds.
    store_backoff_max_s: Positive = 2.0
    # How much memory the commands may take that wait until the lane can tell whether their user exists, in bytes; above
    # that, those that have waited longest are answered early.
    max_deferred_bytes: Count = 64 * 1024 * 1024
    user_wait_max_s: NotNegative = 60.0  # how long such a command may wait, in seconds; then it is refused
    # How long a store remembers that it applied a command, in seconds; as long as Kafka keeps commands. Gateways
    # remember a day longer which request a request ID stands for.
    marker_ttl_s: Count = 7 * 24 * 3600
    # How much of Redis's memory its lane's marks may take, in bytes; above that, the oldest give way before their time.
    redis_marks_max_bytes: Count = 64 * 1024 * 1024
    # How many keys may have a command that their store has given up; with more, the lane stops and says so.
    max_parked_keys: Count = 1000
    # How many commands of such a key may wait behind it; further ones are refused.
    max_parked_commands: Count = 1000
    # How many contents of its store a lane looks at in a second, to find those that were changed by hand; 0 for none.
    validate_records_per_s: NotNegative = 50.0
    # A JSON file in which the lane tells its health every second, while it runs.
    ready_file: str = Field("", validation_alias="READY_FILE")
    # `host:port` of the monitor, which the lane tells its health.
    monitor_address: Address = Field("127.0.0.1:4317", validation_alias="MONITOR_ADDRESS")


class MigrationSettings(Settings):
    """The settings of `python -m processor migrate`, which brings the stores up to date."""

    # How long a store may take to answer for the first time, in seconds.
    store_wait_max_s: NotNegative = Field(60.0, validation_alias="STORE_WAIT_MAX_S")
    # Whether user 1234 and contents 5678 and 1001 are created.
    demo_data: bool = Field(False, validation_alias="DEMO_DATA")


class JaegerSettings(Settings):
    """Jaeger, to which the monitor passes on the spans that it receives."""

    # `host:port` or `http://host:port`, or `https://` for TLS; empty to pass nothing on.
    otlp_endpoint: Collector = Field("", validation_alias="JAEGER_OTLP_ENDPOINT")
    # The file with the certificate of the authority that signed Jaeger's; empty for those that gRPC trusts.
    ca_file: File = Field("", validation_alias="JAEGER_CA_FILE")
    # The URL of its pages, which `status` and the dashboard link to; empty for no link.
    url: OptionalWebUrl = Field("", validation_alias="JAEGER_URL")
    # How much may wait in memory for a Jaeger that is down or slow, in bytes; above that, the oldest spans are dropped.
    queue_max_bytes: Count = Field(16 * 1024 * 1024, validation_alias="JAEGER_QUEUE_MAX_BYTES")
    # How long one attempt to send spans may take, in seconds.
    export_timeout_s: Positive = Field(5.0, validation_alias="JAEGER_EXPORT_TIMEOUT_S")
    # How long a monitor that stops tries to send the spans that wait, in seconds.
    drain_timeout_s: NotNegative = Field(2.0, validation_alias="JAEGER_DRAIN_TIMEOUT_S")


class DashboardsSettings(Settings):
    """OpenSearch Dashboards or Kibana, into which the platform's index pattern and dashboard are imported."""

    model_config = SettingsConfigDict(env_prefix="DASHBOARDS_")

    url: WebUrl = "http://127.0.0.1:5601"  # its URL, with its base path if it has one
    user: str = ""  # the user that logs in; empty without a login
    password: SecretStr = SecretStr("")  # that user's password
    # The file with the certificate of the authority that signed the server's; empty for those that the system trusts.
    ca_file: File = ""
    proxy_url: OptionalWebUrl = ""  # the proxy by which it is reached; empty to reach it directly
    wait_max_s: Positive = 180.0  # how long the whole import may take, its start included, in seconds
    timeout_s: Positive = 30.0  # how long one request may take, in seconds


class MonitorSettings(Settings):
    """The monitor's own settings."""

    model_config = SettingsConfigDict(env_prefix="MONITOR_")

    host: Host = "127.0.0.1"  # the address that it listens on
    http_port: OwnPort = 8089  # the dashboard's port
    # Further names of this machine that the dashboard may be opened by, separated by commas; `*` is any.
    allowed_hosts: str = ""
    otlp_port: OwnPort = 4317  # the port of OTLP and of the monitor's own gRPC service
    retention_days: Count = 7  # how long events and spans are kept, in days
    max_spans: Count = 500_000  # how many spans are kept at the most
    # How much the event log may take where it is a file, in bytes; above that, the oldest of it is forgotten.
    max_bytes: Count = 2 * 1024 * 1024 * 1024
    endpoints_json: JsonObject = "{}"  # the addresses that the dashboard links to, as a JSON object
    # `host:port` of a gateway, which the monitor asks for the platform's health.
    gateway_address: Address = "127.0.0.1:50051"
    ready_file: str = ""  # a JSON file in which the monitor tells its health every second, while it runs
    # The socket of the supervisor, which the monitor asks how each part is, also while no gateway answers; empty where
    # there is none, as in a container.
    supervisor_socket: str = Field("", validation_alias="SUPERVISOR_SOCKET")
