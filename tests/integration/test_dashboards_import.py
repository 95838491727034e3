"""Putting the saved objects into OpenSearch Dashboards and Kibana.

Neither product is in a package registry: a server stands in for them that was written from what they document, see
`tests/support/dashboards_server.py`.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from mesh.settings import DashboardsSettings
from monitor.saved_objects.__main__ import provision
from monitor.saved_objects.server import DashboardsError, DashboardsServer
from tests.support.dashboards_server import Answer, Product, kibana, opensearch_dashboards, serving
from tests.support.saved_objects import FILE, read_file

EVERYTHING = {(saved["type"], saved["id"]): saved for saved in read_file()}
PATTERN = "polystream-api"


@pytest.fixture(params=[opensearch_dashboards, kibana], ids=["opensearch-dashboards", "kibana"])
def product(request: pytest.FixtureRequest) -> Product:
    """Either product, as it is after its installation."""
    made: Callable[[], Product] = request.param
    return made()


@pytest.fixture
def url(product: Product) -> Iterator[str]:
    """Where it serves."""
    with serving(product) as address:
        yield address


def settings(url: str, **others: Any) -> DashboardsSettings:
    """Return settings that lead to a server, whatever the environment says."""
    return DashboardsSettings(url=url, **({"wait_max_s": 10.0} | others))


def run(url: str, **others: str) -> "subprocess.CompletedProcess[str]":
    """Run the importer as compose does."""
    return subprocess.run(
        [sys.executable, "-m", "monitor.saved_objects"],
        env=os.environ | {"DASHBOARDS_URL": url, "LOG_FORMAT": "json", **others},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_everything_is_there_after_a_run(product: Product, url: str) -> None:
    """The one-shot ends with 0: the objects are as in the file, and `api_*` is the pattern that opens first."""
    finished = run(url)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert product.objects == EVERYTHING
    assert product.settings == {"defaultIndex": PATTERN}
    told = json.loads(finished.stdout)
    assert (told["event"], told["objects"], told["default_index_pattern"]) == ("provisioned", len(EVERYTHING), "set")


def test_a_second_run_changes_nothing(product: Product, url: str) -> None:
    """It may run at every start."""
    for _ in range(2):
        provision(settings(url))
        assert product.objects == EVERYTHING
        assert product.settings == {"defaultIndex": PATTERN}


def test_an_older_version_of_an_object_is_replaced(product: Product, url: str) -> None:
    """What an earlier release has put there is brought up to date; other people's objects stay."""
    product.objects = {key: {"outdated": True} for key in [*EVERYTHING, ("dashboard", "somebody's")]}
    provision(settings(url))
    assert product.objects == EVERYTHING | {("dashboard", "somebody's"): {"outdated": True}}


def test_a_default_pattern_that_somebody_chose_stays(product: Product, url: str) -> None:
    """The choice is the users'."""
    product.settings = {"defaultIndex": "theirs"}
    provision(settings(url))
    assert product.settings == {"defaultIndex": "theirs"}


def test_it_waits_for_a_server_that_starts(product: Product, url: str) -> None:
    """503 with a text, then a state that is red, then green: nothing is sent before that."""
    product.starting, product.states = 3, ["red", "red", "green"]
    server = DashboardsServer(settings(url), pause_s=0.01)
    server.wait_until_ready()
    server.close()
    assert (product.starting, product.states) == (0, ["green"])


def test_a_server_that_goes_away_for_a_moment_is_asked_again(product: Product, url: str) -> None:
    """An import that meets a restart is sent again."""
    server = DashboardsServer(settings(url), pause_s=0.01)
    product.starting = 2
    assert server.import_objects(FILE.name, FILE.read_text(encoding="utf-8")) == len(EVERYTHING)
    server.close()
    assert product.imports == 1


def test_a_server_that_never_gets_ready_ends_the_run_in_time(product: Product, url: str) -> None:
    """The error says what it said last, and which settings to look at."""
    product.starting = 1_000_000
    began_s = time.monotonic()
    with pytest.raises(DashboardsError, match=r"not ready within 1 s: .*503.*not ready yet.*DASHBOARDS_WAIT_MAX_S"):
        provision(settings(url, wait_max_s=1.0))
    assert time.monotonic() - began_s < 5
    assert product.objects == {}


def test_nobody_there_is_an_error_with_a_remedy() -> None:
    """The one-shot ends with 1, and one line that names the setting."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        finished = run(f"http://127.0.0.1:{unused.getsockname()[1]}", DASHBOARDS_WAIT_MAX_S="0.5")
    assert finished.returncode == 1
    told = json.loads(finished.stdout)
    assert "check DASHBOARDS_URL" in told["reason"]
    assert finished.stderr == ""


def test_objects_that_are_refused_are_named(product: Product, url: str) -> None:
    """A server that lacks a type takes the rest, and the run fails with the object and the cause."""
    del product.newest["dashboard"]
    with pytest.raises(DashboardsError, match="refuses 1 of the objects: dashboard polystream: unsupported_type"):
        provision(settings(url))
    assert product.settings == {}


def test_a_server_that_is_too_old_is_told(product: Product, url: str) -> None:
    """The products refuse what is newer than they are; their sentence is part of the error."""
    product.newest["visualization"] = "7.0.1"
    with pytest.raises(DashboardsError, match=r"with 422: .*more recent version.*Kibana 7\.17"):
        provision(settings(url))


def test_conflicts_are_told(product: Product, url: str) -> None:
    """Without permission to overwrite, each object that is there is one; the importer always has it."""
    provision(settings(url))
    headers, files = {product.xsrf_header: "test"}, {"file": (FILE.name, FILE.read_bytes())}
    answer = httpx.post(f"{url}/api/saved_objects/_import", files=files, headers=headers).json()
    assert not answer["success"]
    assert {error["error"]["type"] for error in answer["errors"]} == {"conflict"}


def test_the_stand_in_is_as_strict_as_the_products(product: Product, url: str) -> None:
    """Without the header, the form, the file's name or its JSON, or with another attribute, nothing is imported."""
    path, headers = f"{url}/api/saved_objects/_import?overwrite=true", {product.xsrf_header: "test"}
    file = FILE.read_bytes()
    assert httpx.post(path, files={"file": ("x.ndjson", file)}).status_code == 400
    assert httpx.post(path, content=file, headers=headers).status_code == 415
    assert httpx.post(path, files={"other": ("x.ndjson", file)}, headers=headers).status_code == 400
    assert httpx.post(path, files={"file": ("x.json", file)}, headers=headers).status_code == 400
    assert httpx.post(path, files={"file": ("x.ndjson", file[:-9])}, headers=headers).status_code == 400
    lone = file.splitlines()[-2]
    odd = lone.replace(b'"hits"', b'"hit"').replace(b'"references": [', b'"references": [], "x": [')
    for line, cause in ((lone, "missing_references"), (odd, "unknown")):
        answer = httpx.post(path, files={"file": ("x.ndjson", line)}, headers=headers).json()
        assert [error["error"]["type"] for error in answer["errors"]] == [cause]
    assert product.objects == {}


def test_credentials_are_sent_where_they_are_set(product: Product, url: str) -> None:
    """Without them, or with wrong ones, the error says which settings to make."""
    product.user, product.password = "admin", "secret"
    with pytest.raises(DashboardsError, match="answers 401 to nobody: set DASHBOARDS_USER and DASHBOARDS_PASSWORD"):
        provision(settings(url))
    provision(settings(url, user="admin", password="secret"))
    assert product.objects == EVERYTHING


@pytest.mark.parametrize("answer", [(404, "no such page"), (200, "<html>")])
def test_another_server_is_told_from_the_products(answer: Answer) -> None:
    """An address that leads elsewhere is an error at once, not after the time for waiting."""

    class Elsewhere:
        def answer(self, *_: object) -> Answer:
            return answer

    with serving(Elsewhere()) as url, pytest.raises(DashboardsError, match="OpenSearch Dashboards 2 or Kibana 7"):
        provision(settings(url))
