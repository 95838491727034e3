"""Variables that people's shells have for other programs, each with a value that would do harm here."""

from typing import Final

_NOBODY: Final = "127.0.0.1:9"  # nobody listens there
_POSTGRESQL: Final = {
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "9",
    "PGUSER": "nobody",
    "PGPASSWORD": "wrong",
    "PGPASSFILE": "/nowhere/pgpass",
    "PGDATABASE": "nothing",
    "PGSERVICE": "nowhere",
    "PGSERVICEFILE": "/nowhere/pg_service.conf",
    "PGOPTIONS": "-c no_such_parameter=1",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere/root.crt",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "gss",
    "PGCLIENTENCODING": "LATIN1",
}
_PROXIES: Final = {
    **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "grpc_proxy"), f"http://{_NOBODY}"),
    **dict.fromkeys(("ALL_PROXY", "all_proxy"), f"socks5://{_NOBODY}"),
    "no_proxy": "",
    "NO_PROXY": "",
}
_CERTIFICATE_NAMES: Final = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)
_CERTIFICATES: Final = dict.fromkeys(_CERTIFICATE_NAMES, "/nowhere/ca.pem")
_RUNTIMES: Final = {
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "ignore",
    "PYTHONSTARTUP": "/nowhere/startup.py",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_PERTURB_": "7",
    "JAVA_TOOL_OPTIONS": "-XX:NoSuchOption",
    "_JAVA_OPTIONS": "-XX:NoSuchOption",
    "KAFKA_OPTS": "-XX:NoSuchOption",
    "KAFKA_HEAP_OPTS": "-Xmx1k",
    "OPENSEARCH_JAVA_OPTS": "-Xmx1k",
    "NODE_OPTIONS": "--no-such-option",
    "GOFLAGS": "-no-such-flag",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{_NOBODY}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "nothing",
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "VALKEY_CONFIG": "/nowhere",
}
AMBIENT: Final = _POSTGRESQL | _PROXIES | _CERTIFICATES | _RUNTIMES
