"""How the event store reaches its server: as the settings say, and by nothing else."""

import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import PolystreamError
from monitor.store.search_api import SearchApi
from tests.support.ambient import AMBIENT
from tests.support.certificates import self_signed
from tests.support.dashboards_server import Answer, serving
from tests.support.event_stores import settings_for


class Counting:
    """A server that answers a count, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer that there are three."""
        del method, body
        self.asked.append((target, headers))
        return 200, {"count": 3}


def count(url: str, folder: Path, **settings: Any) -> int:
    """Return what the server says that there are of an index."""
    api = SearchApi(settings_for(url, MONITOR_DATA_DIR=str(folder), **settings))
    try:
        return int(api.call(lambda client: client.count(index="i"))["count"])
    finally:
        api.close()


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def test_the_login_and_the_path_are_those_of_the_settings(tmp_path: Path) -> None:
    """A server may stand behind a path; a login may stand in the URL, and the settings' own comes before that."""
    server = Counting()
    with serving(server) as url:
        named = url.replace("//", "//some:p%40ss@")
        assert count(f"{url}/search/", tmp_path) == 3
        assert count(url.removeprefix("http://"), tmp_path, ELASTICSEARCH_USER="u", ELASTICSEARCH_PASSWORD="p:w") == 3
        assert count(named, tmp_path) == 3
        assert count(named, tmp_path, ELASTICSEARCH_USER="u", ELASTICSEARCH_PASSWORD="p") == 3
    assert [target for target, _ in server.asked] == ["/search/i/_count", "/i/_count", "/i/_count", "/i/_count"]
    logins = [headers.get("authorization") for _, headers in server.asked]
    assert logins == [None, _basic("u", "p:w"), _basic("some", "p@ss"), _basic("u", "p")]


def test_it_goes_by_the_proxy_of_the_settings_and_by_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that were meant for other programs have no say."""
    for name, value in AMBIENT.items():
        monkeypatch.setenv(name, value)
    direct, proxy = Counting(), Counting()
    with serving(direct) as url, serving(proxy) as proxy_url:
        assert count(url, tmp_path) == 3
        assert count("http://search.example:9200/s", tmp_path, ELASTICSEARCH_PROXY_URL=proxy_url) == 3
    assert [target for target, _ in direct.asked] == ["/i/_count"]
    assert [target for target, _ in proxy.asked] == ["http://search.example:9200/s/i/_count"]


def test_a_server_with_tls_is_known_by_the_authority_of_the_settings(tmp_path: Path) -> None:
    """One that nobody vouches for is not talked to, and the login is not told to it."""
    key, certificate = self_signed("127.0.0.1")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "ca.pem").write_bytes(certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server = Counting()
    with serving(server, tls) as url:
        assert count(url, tmp_path, ELASTICSEARCH_CA_FILE=str(tmp_path / "ca.pem")) == 3
        with pytest.raises(PolystreamError) as raised:
            count(url, tmp_path, ELASTICSEARCH_USER="u")
    assert raised.value.metadata["error"] == "SSLError"
    assert len(server.asked) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_there_is_said_in_one_word(tmp_path: Path, scheme: str) -> None:
    """Health shows it: a refused connection, or a server that speaks no TLS."""
    with serving(Counting()) as url:
        address = url.removeprefix("http://") if scheme == "https" else "127.0.0.1:9"
        with pytest.raises(PolystreamError) as raised:
            count(f"{scheme}://{address}", tmp_path)
    expected = {"http": "NewConnectionError", "https": "SSLError"}
    assert raised.value.metadata["error"] == expected[scheme]
