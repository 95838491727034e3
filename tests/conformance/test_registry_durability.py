"""Any schema registry under many callers, stopped and killed; and the pocket registry's own bounds."""

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.support.registry_api import (
    LONG_A,
    LONG_B,
    LONG_C_DEFAULT,
    assert_error,
    record,
    register,
    register_persistently,
    set_level,
)
from tests.support.registry_server import PocketRegistry, RegistryServer


class TestConcurrency:
    """Many callers at the same time."""

    def test_the_same_schema_registered_at_once_gets_one_identifier(
        self, registry: RegistryServer, subject: str
    ) -> None:
        """Sixteen producers that start together, and ask again where told of a conflict, see one identifier.

        Nothing is asked by version: Apicurio looks and then writes, so that the one schema can get several there.
        """
        barrier = threading.Barrier(16)

        def attempt(_number: int) -> int:
            with httpx.Client(base_url=registry.url, timeout=20) as api:
                barrier.wait()
                return register_persistently(api, subject, record(LONG_A, name="test.AtOnce"))

        with ThreadPoolExecutor(16) as pool:
            seen = set(pool.map(attempt, range(16)))
        assert len(seen) == 1
        with httpx.Client(base_url=f"{registry.url}/subjects/{subject}", timeout=20) as api:
            versions = api.get("/versions").json()
            assert {api.get(f"/versions/{version}").json()["id"] for version in versions} == seen
        if isinstance(registry, PocketRegistry):
            assert versions == [1]

    def test_different_schemas_registered_at_once_all_get_through(self, registry: RegistryServer, subject: str) -> None:
        """Forty schemas of one subject, from eight callers that do likewise, have forty versions and identifiers."""

        def attempt(number: int) -> int:
            field = {"name": f"f{number}", "type": "long", "default": 0}
            with httpx.Client(base_url=registry.url, timeout=20) as api:
                return register_persistently(api, subject, record(field, name="test.Many"))

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(attempt, range(40)))) == 40
        versions = httpx.get(f"{registry.url}/subjects/{subject}/versions").json()
        assert versions == list(range(1, 41))


class TestDurability:
    """What was acknowledged stays."""

    def test_a_restart_keeps_identifiers_and_versions(self, own_registry: RegistryServer, subject: str) -> None:
        """After a clean stop, with exit status 0, everything is as it was, and new identifiers are new."""
        with httpx.Client(base_url=own_registry.url) as api:
            first = register(api, subject, record(LONG_A)).json()["id"]
            set_level(api, subject, "BACKWARD")
            assert own_registry.stop() == 0
            own_registry.start()
            found = api.get(f"/subjects/{subject}/versions/latest").json()
            assert (found["id"], found["version"]) == (first, 1)
            assert api.get(f"/config/{subject}").json() == {"compatibilityLevel": "BACKWARD"}
            assert register(api, subject, record(LONG_A)).json()["id"] == first
            assert register(api, subject, record()).json()["id"] > first

    def test_kill_9_loses_nothing_that_was_acknowledged(self, own_registry: RegistryServer, subject: str) -> None:
        """Killed while four callers register, it has every schema that it gave an identifier to."""
        acknowledged: dict[int, str] = {}
        enough = threading.Event()

        def caller(number: int) -> None:
            with httpx.Client(base_url=own_registry.url, timeout=20) as api:
                for turn in range(10_000):
                    name = f"test.Kill{number}x{turn}"
                    try:
                        response = register(api, f"{subject}-{name}", record(LONG_A, name=name))
                    except httpx.TransportError:
                        return
                    acknowledged[response.json()["id"]] = name
                    if len(acknowledged) >= 60:
                        enough.set()

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(caller, number) for number in range(4)]
            assert enough.wait(30)
            own_registry.stop(signal.SIGKILL)
            for future in done:
                future.result()
        own_registry.start()
        with httpx.Client(base_url=own_registry.url) as api:
            for schema_id, name in acknowledged.items():
                assert json.loads(api.get(f"/schemas/ids/{schema_id}").json()["schema"])["name"] == name
                assert register(api, f"{subject}-{name}", record(LONG_A, name=name)).json()["id"] == schema_id
            another = record(LONG_A, name=f"test.{subject[-33:]}")
            assert register(api, subject, another).json()["id"] > max(acknowledged)


_ON_POCKET = pytest.mark.parametrize("registry", ["pocket"], indirect=True)


class TestPocketBounds:
    """What is the pocket registry's own."""

    @_ON_POCKET
    def test_other_schema_types_are_refused_with_the_reason(self, api: httpx.Client, subject: str) -> None:
        """It keeps Avro only, and says so."""
        response = api.post(f"/subjects/{subject}/versions", json={"schema": "{}", "schemaType": "JSON"})
        assert_error(response, 422, 42201)
        assert "AVRO" in response.json()["message"]

    @_ON_POCKET
    def test_what_would_be_dropped_is_refused(self, api: httpx.Client, subject: str) -> None:
        """References and identifiers of the caller's own are not ignored in silence."""
        reference = {"name": "test.Other", "subject": "other", "version": 1}
        body = {"schema": record(LONG_A), "references": [reference]}
        assert_error(api.post(f"/subjects/{subject}/versions", json=body), 422, 42201)
        assert_error(api.post(f"/subjects/{subject}/versions", json={"schema": record(LONG_A), "id": 7}), 422, 42205)

    @_ON_POCKET
    def test_a_body_beyond_the_bound_is_refused(self, api: httpx.Client, subject: str) -> None:
        """A megabyte is more than any schema needs."""
        assert_error(register(api, subject, record(LONG_A, doc="x" * 1_100_000)), 413, 413)

    @_ON_POCKET
    def test_a_body_of_another_type_is_refused(self, api: httpx.Client, subject: str) -> None:
        """What a page in a browser could send without asking is not taken."""
        response = api.post(
            f"/subjects/{subject}/versions",
            content=json.dumps({"schema": record(LONG_A)}),
            headers={"content-type": "text/plain"},
        )
        assert_error(response, 415, 415)

    def test_the_number_of_schemas_is_bounded(self, tmp_path_factory: pytest.TempPathFactory, subject: str) -> None:
        """A full registry refuses new schemas and goes on serving what it has."""
        server = PocketRegistry(tmp_path_factory.mktemp("registry"), max_schemas="2", compatibility="NONE")
        server.start()
        with httpx.Client(base_url=server.url) as api:
            assert register(api, subject, record(LONG_A)).is_success
            assert register(api, subject, record(LONG_B)).is_success
            assert_error(register(api, subject, record(LONG_C_DEFAULT)), 422, 42205)
            assert register(api, f"{subject}-2", record(LONG_A)).is_success
        server.stop()

    def test_it_is_light(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """It takes less than 100 MB, and imports none of what makes the services slow to start."""
        server = PocketRegistry(tmp_path_factory.mktemp("registry"))
        server.start()
        memory_bytes = psutil.Process(server.pid).memory_info().rss
        server.stop()
        assert memory_bytes < 100 * 1024 * 1024
        listing = "import sys, registry.__main__; print(*sys.modules)"
        imported = subprocess.run(
            [sys.executable, "-c", listing], capture_output=True, text=True, check=True, timeout=60
        )
        heavy = {"confluent_kafka", "fastavro", "grpc", "httpx", "opentelemetry", "psycopg", "pymongo", "redis", "rich"}
        assert heavy.isdisjoint(imported.stdout.split())
