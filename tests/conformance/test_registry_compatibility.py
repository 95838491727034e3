"""Compatibility levels of any schema registry, by the Confluent API: what each lets through and what it stops."""

from typing import Any

import httpx
import pytest

from tests.support.registry_api import (
    LONG_A,
    LONG_B,
    LONG_B_DEFAULT,
    LONG_C_DEFAULT,
    assert_error,
    record,
    register,
    set_level,
)
from tests.support.registry_server import RegistryServer


class TestCompatibility:
    """Each level, by what it lets through and what it stops."""

    # A level; the versions registered before, a schema that fits and one that does not, by their fields.
    CASES: tuple[tuple[str, dict[str, Any]], ...] = (
        ("BACKWARD", {"before": [(LONG_A,)], "fits": (), "breaks": (LONG_A, LONG_B)}),
        ("FORWARD", {"before": [(LONG_A,)], "fits": (LONG_A, LONG_B), "breaks": ()}),
        ("FULL", {"before": [(LONG_A,)], "fits": (LONG_A, LONG_B_DEFAULT), "breaks": (LONG_A, LONG_B)}),
        (
            "BACKWARD_TRANSITIVE",
            {
                "before": [(LONG_A,), (LONG_A, LONG_B_DEFAULT)],
                "fits": (LONG_A, LONG_B_DEFAULT, LONG_C_DEFAULT),
                "breaks": (LONG_A, LONG_B),
            },
        ),
        (
            "FORWARD_TRANSITIVE",
            {
                "before": [(LONG_A, LONG_B), (LONG_A, LONG_B_DEFAULT)],
                "fits": (LONG_A, LONG_B, LONG_C_DEFAULT),
                "breaks": (LONG_A,),
            },
        ),
        (
            "FULL_TRANSITIVE",
            {
                "before": [(LONG_A,), (LONG_A, LONG_B_DEFAULT)],
                "fits": (LONG_A, LONG_B_DEFAULT, LONG_C_DEFAULT),
                "breaks": (LONG_A, LONG_B),
            },
        ),
    )

    @pytest.mark.parametrize(("level", "case"), CASES, ids=[level for level, _ in CASES])
    def test_a_level_lets_through_what_fits_and_stops_what_breaks(
        self, api: httpx.Client, subject: str, level: str, case: dict[str, Any]
    ) -> None:
        """What does not fit is refused with 409, asking first says the same, and nothing is kept."""
        set_level(api, subject, level)
        for fields in case["before"]:
            assert register(api, subject, record(*fields)).status_code == 200
        versions = api.get(f"/subjects/{subject}/versions").json()

        path = f"/compatibility/subjects/{subject}/versions"
        assert api.post(path, json={"schema": record(*case["breaks"])}).json()["is_compatible"] is False
        assert_error(register(api, subject, record(*case["breaks"])), 409, 409)
        assert api.get(f"/subjects/{subject}/versions").json() == versions

        assert api.post(path, json={"schema": record(*case["fits"])}).json()["is_compatible"] is True
        assert register(api, subject, record(*case["fits"])).status_code == 200

    def test_a_refusal_has_its_reasons_on_request(self, api: httpx.Client, subject: str) -> None:
        """A verbose question is answered with a sentence for each reason."""
        register(api, subject, record(LONG_A))
        path = f"/compatibility/subjects/{subject}/versions"
        asked = api.post(path, params={"verbose": "true"}, json={"schema": record(LONG_A, LONG_B)}).json()
        assert asked["is_compatible"] is False
        assert asked["messages"]

    @pytest.mark.parametrize("level", ["BACKWARD", "FORWARD", "FULL"])
    def test_a_level_that_is_not_transitive_looks_at_the_latest_version_only(
        self, api: httpx.Client, subject: str, level: str
    ) -> None:
        """What the transitive level stops for an older version's sake passes."""
        case = dict(self.CASES)[f"{level}_TRANSITIVE"]
        set_level(api, subject, level)
        for fields in [*case["before"], case["breaks"]]:
            assert register(api, subject, record(*fields)).status_code == 200

    def test_none_lets_everything_through(self, api: httpx.Client, subject: str) -> None:
        """With NONE even another type may follow."""
        set_level(api, subject, "NONE")
        assert register(api, subject, record(LONG_A)).status_code == 200
        assert register(api, subject, '"string"').status_code == 200

    def test_one_version_can_be_asked_about(self, api: httpx.Client, subject: str) -> None:
        """Against the latest version a schema may fit that does not fit an older one."""
        set_level(api, subject, "BACKWARD")
        register(api, subject, record(LONG_A))
        register(api, subject, record(LONG_A, LONG_B_DEFAULT))
        path = f"/compatibility/subjects/{subject}/versions"
        body = {"schema": record(LONG_A, LONG_B)}
        assert api.post(f"{path}/latest", json=body).json()["is_compatible"] is True
        assert api.post(f"{path}/2", json=body).json()["is_compatible"] is True
        assert api.post(f"{path}/1", json=body).json()["is_compatible"] is False
        assert_error(api.post(f"{path}/9", json=body), 404, 40402)

    def test_an_enum_loses_symbols_only_with_a_default(self, api: httpx.Client, subject: str) -> None:
        """A reader with fewer symbols needs a default to read the others as."""

        def enum(*symbols: str, **attributes: str) -> str:
            kind = {"type": "enum", "name": "test.Kind", "symbols": list(symbols), **attributes}
            return record({"name": "kind", "type": kind})

        set_level(api, subject, "BACKWARD")
        assert register(api, subject, enum("A", "B", "C")).status_code == 200
        assert_error(register(api, subject, enum("A", "B")), 409, 409)
        assert register(api, subject, enum("A", "B", default="A")).status_code == 200
        assert register(api, subject, enum("A", "B", "C", "D", default="A")).status_code == 200

    def test_a_renamed_field_or_record_is_found_by_its_alias(self, api: httpx.Client, subject: str) -> None:
        """Aliases are resolved in the namespace of the name that they stand for."""
        set_level(api, subject, "BACKWARD")
        inner = {"type": "record", "name": "Old", "fields": [LONG_A]}
        assert register(api, subject, record({"name": "inner", "type": inner})).status_code == 200
        renamed = {"type": "record", "name": "New", "fields": [{"name": "z", "type": "long", "aliases": ["a"]}]}
        assert_error(register(api, subject, record({"name": "inner", "type": renamed})), 409, 409)
        assert register(api, subject, record({"name": "inner", "type": renamed | {"aliases": ["Old"]}})).is_success

    def test_numbers_are_widened_and_never_narrowed(self, api: httpx.Client, subject: str) -> None:
        """An int is read as a long or a double, a long never as an int."""
        set_level(api, subject, "BACKWARD")
        assert register(api, subject, record({"name": "a", "type": "int"})).is_success
        assert register(api, subject, record({"name": "a", "type": "long"})).is_success
        assert_error(register(api, subject, record({"name": "a", "type": "int"}, doc="Narrower.")), 409, 409)
        assert register(api, subject, record({"name": "a", "type": "double"})).is_success

    def test_a_recursive_schema_is_judged(self, api: httpx.Client, subject: str) -> None:
        """A record that holds itself ends the comparison as any other does."""
        set_level(api, subject, "FULL_TRANSITIVE")
        child = {"name": "child", "type": ["null", "test.Record"], "default": None}
        assert register(api, subject, record(LONG_A, child)).is_success
        assert register(api, subject, record(LONG_A, child, LONG_B_DEFAULT)).is_success
        assert_error(register(api, subject, record(LONG_A, child, LONG_B)), 409, 409)


class TestLevelsAndModes:
    """/config and /mode."""

    def test_the_default_level_is_full_transitive(self, own_registry: RegistryServer, subject: str) -> None:
        """Without a word a registry of this platform guards both directions and every version."""
        with httpx.Client(base_url=own_registry.url) as api:
            assert api.get("/config").json() == {"compatibilityLevel": "FULL_TRANSITIVE"}
            assert register(api, subject, record(LONG_A)).is_success
            assert_error(register(api, subject, record(LONG_A, LONG_B)), 409, 409)

    def test_the_global_level_can_be_changed(self, own_registry: RegistryServer, subject: str) -> None:
        """Subjects without a level of their own follow it, after a restart too."""
        with httpx.Client(base_url=own_registry.url) as api:
            assert api.put("/config", json={"compatibility": "NONE"}).json() == {"compatibility": "NONE"}
            own_registry.stop()
            own_registry.start()
            assert api.get("/config").json() == {"compatibilityLevel": "NONE"}
            assert register(api, subject, record(LONG_A)).is_success
            assert register(api, subject, record(LONG_B)).is_success
            api.put("/config", json={"compatibility": "FULL_TRANSITIVE"}).raise_for_status()

    def test_a_subject_follows_the_global_level_until_it_has_its_own(self, api: httpx.Client, subject: str) -> None:
        """Its own level is set, read and taken away again."""
        assert_error(api.get(f"/config/{subject}"), 404, 40408)
        followed = api.get(f"/config/{subject}", params={"defaultToGlobal": "true"}).json()
        assert followed == api.get("/config").json()
        set_level(api, subject, "FORWARD")
        assert api.get(f"/config/{subject}").json() == {"compatibilityLevel": "FORWARD"}
        assert api.delete(f"/config/{subject}").status_code == 200
        assert_error(api.get(f"/config/{subject}"), 404, 40408)

    def test_the_mode_is_read_and_write(self, api: httpx.Client) -> None:
        """The mode is READWRITE, and setting it so is accepted."""
        assert api.get("/mode").json() == {"mode": "READWRITE"}
        assert api.put("/mode", json={"mode": "READWRITE"}).json() == {"mode": "READWRITE"}
        assert_error(api.put("/mode", json={"mode": "SOMETIMES"}), 422, 42204)
