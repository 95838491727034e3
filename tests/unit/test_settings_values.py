"""What a setting's value may be, where a wrong one is said to stand, and addresses that are built of them."""

from pathlib import Path
from urllib.parse import urlsplit

import psycopg.conninfo
import pytest
from pymongo.uri_parser import parse_uri

from mesh import settings
from mesh.env_file import SettingsError
from mesh.hosts import host_and_port, in_url
from mesh.settings_base import (
    ENV_FILE_VARIABLE,
    REGISTRY_NAMES,
    Settings,
    check_settings,
    env_file,
    given_settings,
    names_without_effect,
)
from registry.settings import PocketRegistrySettings
from stack.engines import mongodb
from stack.engines.spec import StackContext
from stack.ports import Ports

ODD_NAMES = ("my db", "a/b?c", "a%20b", "a:b@c#d", "[::1]", '\'; DROP "x" --', "a+b&c=d", "ção", "\\")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that settings are read from; empty."""
    path = tmp_path / ".env"
    path.touch()
    monkeypatch.setenv(ENV_FILE_VARIABLE, str(path))
    return path


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("POSTGRES_PORT", "abc", "is 'abc': write a whole number from 1 to 65535"),
        ("POSTGRES_PORT", "70000", "from 1 to 65535"),
        ("POSTGRES_PORT", "", "is empty: write a whole number"),
        ("POSTGRES_PORT", "tcp://10.0.0.1:5432", "write a whole number"),
        ("POSTGRES_HOST", "db:5432", "write the port into the setting for the port"),
        ("POSTGRES_DB", "", "is empty"),
        ("POSTGRES_USER", "u" * 64, "longer than PostgreSQL's 63 bytes"),
        ("POSTGRES_SSLMODE", "yes", "write disable or prefer or require"),
        ("POSTGRES_SSLROOTCERT", "/nowhere/ca.pem", "which is not there"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka", "write host:port for each"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092, kafka:x", "has 'kafka:x' among the brokers"),
        ("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem", "which is not there"),
        ("SCHEMA_REGISTRY_URL", "registry:8181", "begin it with http:// or https://"),
        ("SCHEMA_REGISTRY_URL", "http://registry:99999", "has a port that is none"),
        ("SCHEMA_REGISTRY_TIMEOUT_S", "-1", "write a number above 0"),
        ("MONGODB_URL", "localhost:27017", "write mongodb://host:port/streaming_db"),
        ("MONGODB_URL", "mongodb://localhost:27017", "names no database"),
        ("MONGODB_URL", "mongodb://u:p/w@localhost/x", "write the characters / : @"),
        ("REDIS_URL", "localhost:6379", "write redis://host:port/0"),
        ("REDIS_URL", "redis://localhost:6379/first", "no number of a database"),
        ("ELASTICSEARCH_HOST", "search:port", "neither host:port nor a URL"),
        ("ELASTICSEARCH_TIMEOUT_S", "nan", "write a number above 0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "monitor", "write host:port"),
        ("OTEL_SDK_DISABLED", "maybe", "write 1 or 0"),
        ("LOG_LEVEL", "loud", "write DEBUG or INFO"),
        ("LANE_MARKER_TTL_S", "0", "write a whole number of at least 1"),
        ("MONITOR_RETENTION_DAYS", "-7", "write a whole number of at least 1"),
        ("MONITOR_ENDPOINTS_JSON", "[", "is no JSON object"),
        ("MONITOR_ADDRESS", "monitor", "write host:port"),
    ],
)
def test_a_wrong_value_is_told_with_its_place_and_remedy(file: Path, name: str, value: str, said: str) -> None:
    """One sentence, which names the line of the file."""
    file.write_text(f"# settings\n\n{name}={value}\n")
    with pytest.raises(SettingsError) as error:
        check_settings(Settings.__subclasses__())
    sentence = str(error.value)
    assert sentence.startswith(f"{name}, line 3 of {file}, ")
    assert said in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("name", ["POSTGRES_PORT", "postgres_port"])
def test_the_environment_wins_and_is_named(file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A wrong value there is not looked for in the file."""
    file.write_text("POSTGRES_PORT=5433\n")
    monkeypatch.setenv(name, "abc")
    with pytest.raises(SettingsError, match="POSTGRES_PORT, in the environment, is 'abc'"):
        settings.PostgresSettings()


@pytest.mark.parametrize(
    ("given", "set_one", "missing"),
    [
        ("EDGE_KEY_FILE", "EDGE_KEY_FILE", "EDGE_CERTIFICATE_FILE"),
        *[("EDGE_CERTIFICATE_FILE",) * 2 + ("EDGE_KEY_FILE",)],
    ],
)
def test_an_edges_certificate_needs_its_key(file: Path, given: str, set_one: str, missing: str) -> None:
    """Each without the other is refused, and the missing one is named."""
    file.write_text(f"{given}={file}\n")
    with pytest.raises(SettingsError, match=f"{set_one} is set and {missing} is not: set both"):
        settings.EdgeSettings()


def test_a_url_is_not_quoted(file: Path) -> None:
    """It may hold a password."""
    file.write_text("MONGODB_URL=mongodb://u:secret/x@h/db\nREDIS_URL=http://:secret@h\n")
    with pytest.raises(SettingsError) as error:
        check_settings(Settings.__subclasses__())
    assert "secret" not in str(error.value)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POSTGRES_PASWORD", "POSTGRES_PASSWORD"),
        ("POSTGRES_USERNAME", "POSTGRES_USER"),
        ("MONGO_URL", "MONGODB_URL"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("SCHEMA_REGISTY_URL", "SCHEMA_REGISTRY_URL"),
        ("ELASTICSEARCH_HOSTS", "ELASTICSEARCH_HOST"),
    ],
)
def test_a_name_that_is_nearly_a_settings_is_refused(file: Path, name: str, meant: str) -> None:
    """It would have no effect, and the default would hold."""
    file.write_text(f"A_NAME=1\n{name}=x\n")
    with pytest.raises(SettingsError) as error:
        env_file()
    assert str(error.value) == (
        f"line 2 of {file} sets {name}, which is no setting: write {meant}, or leave the line out"
    )


def test_other_names_are_told_of_or_passed_over(file: Path) -> None:
    """Those that begin as settings do are noted; those of other programs are not."""
    file.write_text("REDIS_HOST=redis\nELASTICSEARCH_PORT=9200\nCOMPOSE_PROJECT_NAME=x\nPATH=/nowhere\n")
    read = env_file()
    assert read is not None
    told = names_without_effect(read)
    assert [sentence.split()[5] for sentence in told] == ["REDIS_HOST,", "ELASTICSEARCH_PORT,"]
    assert given_settings({}, read) == {}


def test_only_the_file_that_is_named_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.env` in the working folder is somebody else's."""
    (tmp_path / ".env").write_text("POSTGRES_PORT=abc\nLANE_MARKER_TTL_S=5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENV_FILE_VARIABLE, raising=False)
    assert settings.PostgresSettings().port == 5432
    assert settings.LaneSettings().marker_ttl_s == 7 * 24 * 3600
    assert PocketRegistrySettings().port == 8181


def test_given_settings_are_all_that_was_set(file: Path) -> None:
    """Of the file and the environment, by their own names, and nothing else."""
    file.write_text("POSTGRES_DB=one\nLANE_MARKER_TTL_S=5\n")
    environment = {"POSTGRES_DB": "two", "redis_url": "redis://r/0", "PGHOST": "x", "http_proxy": "x", "PATH": "/bin"}
    given = given_settings(environment, env_file())
    assert given == {"POSTGRES_DB": "two", "LANE_MARKER_TTL_S": "5", "REDIS_URL": "redis://r/0"}


def test_the_pocket_registrys_names_are_known() -> None:
    """It imports nothing of the platform, so the platform has its names a second time."""
    assert {f"SCHEMA_REGISTRY_{name}".upper() for name in PocketRegistrySettings.model_fields} == REGISTRY_NAMES


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_postgresqls_url_says_what_was_meant(odd: str) -> None:
    """What libpq reads is the very user, password and database, whatever is in them."""
    made = settings.PostgresSettings(user=odd, password=odd, db=odd, host="db.example.com")
    read = psycopg.conninfo.conninfo_to_dict(made.dsn)
    assert [read[name] for name in ("user", "password", "dbname", "host")] == [odd, odd, odd, "db.example.com"]


@pytest.mark.parametrize(
    ("host", "read_as"),
    [("::1", "::1"), ("[fe80::1]", "fe80::1"), ("/var/run/post gres", "/var/run/post gres"), ("a,b", "a,b")],
)
def test_postgresqls_url_takes_every_host(host: str, read_as: str) -> None:
    """Addresses of either kind, the folder of a socket, and several hosts."""
    assert psycopg.conninfo.conninfo_to_dict(settings.PostgresSettings(host=host).dsn)["host"] == read_as


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_mongodbs_url_names_a_database_that_it_takes(odd: str, tmp_path: Path) -> None:
    """It is PostgreSQL's name, as far as MongoDB has its characters."""
    postgres = settings.PostgresSettings(db=odd)
    url = mongodb.ENGINE.endpoint(StackContext(tmp_path, Ports(), postgres))
    settings.MongoSettings(url=url)  # takes it
    database = parse_uri(url)["database"]
    assert len(database) == len(odd)
    assert all(ours in {theirs, "_"} for ours, theirs in zip(database, odd, strict=True))


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("[::]", "[::]:80")])
def test_an_address_has_its_brackets(host: str, shown: str) -> None:
    """Of IPv6 alone."""
    assert host_and_port(host, 80) == shown
    assert urlsplit(f"http://{in_url(host)}:80").port == 80
