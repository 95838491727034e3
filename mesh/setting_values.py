"""What a setting's value may be. A value that is not is refused with a clause that says what to write instead.

A clause never quotes a URL: it may hold a password.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

_HOST: Final = r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:/?#@\[\],]+)"  # an IPv6 address stands in brackets
_ADDRESS: Final = re.compile(rf"{_HOST}:(?P<port>[0-9]{{1,5}})")
_CERTIFICATE_WORDS: Final = ("system", "probe")  # libpq's and librdkafka's for what the system trusts
_PORT_MAX: Final = 65535
_METRICS_EXPORTERS: Final = frozenset({"otlp", "prometheus", "none"})
_NAME_MAX_BYTES: Final = 63  # PostgreSQL cuts longer names off


def _is_address(text: str) -> bool:
    found = _ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found["port"]) <= _PORT_MAX


def _address(text: str) -> str:
    if not _is_address(text):
        raise ValueError(f"is {text!r}: write host:port, with a port from 1 to {_PORT_MAX}")
    return text


def _addresses(text: str) -> str:
    wrong = [part for part in text.split(",") if not _is_address(part.strip().rpartition("://")[2])]
    if wrong:
        raise ValueError(
            f"has {wrong[0].strip()!r} among the brokers: write host:port for each, with a port from 1 to {_PORT_MAX}, "
            "and commas between them"
        )
    return text


def _web_url(text: str) -> str:
    if re.match(r"https?://[^/?#\s]", text) is None:
        raise ValueError("is no URL: begin it with http:// or https:// and the server's name")
    _require_port(text)
    return text


def _optional_web_url(text: str) -> str:
    return _web_url(text) if text else text


def _search_host(text: str) -> str:
    if text and "://" not in text:
        if not _is_address(text) and re.fullmatch(_HOST, text) is None:
            raise ValueError("is neither host:port nor a URL: write one of them, or leave it empty")
        return text
    return _optional_web_url(text)


def _collector(text: str) -> str:
    address = text.rstrip("/")
    if address and not _is_address(re.sub(r"^https?://", "", address)):
        raise ValueError(f"is {text!r}: write host:port, http://host:port, https://host:port, or leave it empty")
    return text


def _mongodb_url(text: str) -> str:
    form = "write mongodb://host:port/streaming_db"
    if re.match(r"mongodb(\+srv)?://", text) is None:
        raise ValueError(f"is no URL of MongoDB: {form}")
    rest = text.partition("://")[2]
    authority, slash, database = rest.partition("?")[0].partition("/")
    if not authority.rpartition("@")[2]:
        raise ValueError(f"names no server: {form}")
    if not slash or not database.strip():
        raise ValueError(f"names no database: {form}")
    _require_percent(authority, text)
    return text


def _redis_url(text: str) -> str:
    if re.match(r"(rediss?|unix)://.", text) is None:
        raise ValueError("is no URL of Redis: write redis://host:port/0, or rediss: for TLS")
    if text.startswith("unix:"):
        return text
    _require_percent(text.partition("://")[2].partition("?")[0].partition("/")[0], text)
    path = text.partition("://")[2].partition("?")[0].partition("/")[2]
    if path and not path.isdecimal():
        raise ValueError("ends with what is no number of a database: write redis://host:port/0")
    return text


def _require_percent(authority: str, text: str) -> None:
    """Raise ValueError where a URL's user or password can only be meant in another way than it stands."""
    credentials, at, hosts = authority.rpartition("@")
    is_odd = "@" in credentials or credentials.count(":") > 1
    ports = [host.rpartition(":")[2] for host in hosts.split(",") if re.search(r":[^\]]*$", host)]
    if is_odd or not all(port.isdecimal() for port in ports) or ("@" in text and not at):
        raise ValueError(
            "can't be read: write the characters / : @ ? # % of a user or password as %2F %3A %40 %3F %23 %25, and a "
            "port in digits"
        )
    _require_ports(ports)


def _require_port(text: str) -> None:
    try:
        port = urlsplit(text).port
    except ValueError as error:
        raise ValueError(f"has a port that is none: write a number from 1 to {_PORT_MAX}") from error
    _require_ports([] if port is None else [str(port)])


def _require_ports(ports: list[str]) -> None:
    if any(not 0 < int(port) <= _PORT_MAX for port in ports):
        raise ValueError(f"has a port that is none: write a number from 1 to {_PORT_MAX}")


def _postgresql_name(text: str) -> str:
    if not text:
        raise ValueError("is empty: write a name, or leave it out")
    if not text.isprintable():
        raise ValueError("has a character that can't be seen: write the name without it")
    if len(text.encode()) > _NAME_MAX_BYTES:
        raise ValueError(f"is longer than PostgreSQL's {_NAME_MAX_BYTES} bytes: write a shorter name")
    return text


def _json_object(text: str) -> str:
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise ValueError('is no JSON object: write {"name": "http://host:port"}')  # noqa: TRY004 - pydantic takes it
    return text


def _file(text: str) -> str:
    if text and not os.access(text, os.R_OK):
        why = "can't be read" if Path(text).exists() else "is not there"
        raise ValueError(f"names {text!r}, which {why}: write the path of a file that your user may read")
    return text


def _certificate(text: str) -> str:
    return text if text in _CERTIFICATE_WORDS else _file(text)


def _host(text: str) -> str:
    if text.startswith("/"):  # the folder of a socket
        return text
    if not text or re.search(r"[\s/?#@]", text):
        raise ValueError(f"is {text!r}: write a server's name or address, without a port")
    if re.fullmatch(rf"{_HOST}:[0-9]+", text):
        raise ValueError(f"is {text!r}: write the port into the setting for the port")
    return text


def exporters_in(text: str) -> frozenset[str]:
    """Return the exporters that are named in a setting, with commas between them; none for `none`."""
    return frozenset(part.strip() for part in text.split(",")) - {"none"}


def _metrics_exporters(text: str) -> str:
    named = [part.strip() for part in text.split(",")]
    if not set(named) <= _METRICS_EXPORTERS or ("none" in named and len(named) > 1):
        raise ValueError(f"is {text!r}: write otlp, prometheus, both with a comma between them, or none")
    return text


Port = Annotated[int, Field(ge=1, le=_PORT_MAX)]
OwnPort = Annotated[int, Field(ge=0, le=_PORT_MAX)]  # 0: the system chooses one that is free
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # 0: not at all
Host = Annotated[str, AfterValidator(_host)]
Address = Annotated[str, AfterValidator(_address)]  # `host:port`
Addresses = Annotated[str, AfterValidator(_addresses)]  # the same, with commas between them
Collector = Annotated[str, AfterValidator(_collector)]  # of OTLP: an address, a URL, or empty
JsonObject = Annotated[str, AfterValidator(_json_object)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
File = Annotated[str, AfterValidator(_file)]  # its path, or empty
Certificate = Annotated[str, AfterValidator(_certificate)]  # the same, or a word of a client library's
OptionalWebUrl = Annotated[str, AfterValidator(_optional_web_url)]
SearchHost = Annotated[str, AfterValidator(_search_host)]
MongoUrl = Annotated[str, AfterValidator(_mongodb_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
MetricsExporters = Annotated[str, AfterValidator(_metrics_exporters)]  # as `exporters_in` reads them
PostgresName = Annotated[str, AfterValidator(_postgresql_name)]
