"""What is started here sees the variables that are meant for it, and no other."""

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from mesh.direct import forget_ambient_variables, http_options
from mesh.setting_values import _certificate, _file
from mesh.settings_base import Settings, variable
from stack.engines.native.downloads import download_environment
from stack.engines.process import bare_environment
from stack.environments import service_environment, supervisor_environment
from stack.supervisor.plan import _FILE_NAMES
from tests.support.ambient import AMBIENT


@pytest.fixture(autouse=True)
def ambient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what people's shells have for other programs."""
    for name, value in AMBIENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", sorted(AMBIENT))
def test_a_variable_of_another_program_reaches_nothing(name: str) -> None:
    """Neither an engine nor a service has it."""
    assert name not in bare_environment()
    assert name not in service_environment({"POSTGRES_DB": "x"})


def test_what_every_program_needs_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where programs are, whose home it is, and the language."""
    wanted = {"PATH": "/bin", "HOME": "/home/x", "TMPDIR": "/tmp/x", "LANG": "pt_BR.UTF-8", "TZ": "America/Recife"}
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    assert wanted.items() <= bare_environment().items()
    assert service_environment({"A": "1"})["A"] == "1"


def test_only_downloads_have_proxies_and_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maven and Go fetch from servers of other people's; the supervisor starts them."""
    monkeypatch.setenv("MAVEN_OPTS", "-Xmx1g")
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("POSTGRES_DB", "x")
    monkeypatch.setenv("UNRELATED", "x")
    for environment in (download_environment(), supervisor_environment()):
        assert environment["https_proxy"] == AMBIENT["https_proxy"]
        assert environment["MAVEN_OPTS"] == "-Xmx1g"
        assert {"GOFLAGS", "JAVA_TOOL_OPTIONS", "PGSERVICE", "PYTHONWARNINGS", "UNRELATED"}.isdisjoint(environment)
    assert supervisor_environment()["POSTGRES_DB"] == "x"
    assert "POSTGRES_DB" not in download_environment()


def test_python_is_found_where_the_linker_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of its own library stays, and no other."""
    variable_name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    folder = str(sysconfig.get_config_var("LIBDIR"))
    monkeypatch.setenv(variable_name, os.pathsep.join(("/nowhere", folder)))
    expected = {variable_name: folder} if sysconfig.get_config_var("Py_ENABLE_SHARED") else {}
    assert {name: value for name, value in bare_environment().items() if name == variable_name} == expected


def test_the_packages_are_found_where_python_is_told_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that has the platform stays on Python's path, and no other."""
    checkout = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("/nowhere", checkout)))
    assert bare_environment()["PYTHONPATH"] == checkout


def test_a_service_that_is_started_by_hand_forgets_them() -> None:
    """Clients read them from the process's own environment."""
    os.environ["POSTGRES_DB"] = "kept"
    try:
        forget_ambient_variables()
        left = {name for name in AMBIENT if name in os.environ}
        assert {name for name in left if name.startswith("PG") or "proxy" in name.lower() or "CERT" in name} == set()
        assert os.environ["POSTGRES_DB"] == "kept"
    finally:
        del os.environ["POSTGRES_DB"]


def test_an_http_client_goes_by_settings_alone() -> None:
    """Directly, unless a setting names a proxy."""
    assert http_options() == {"trust_env": False, "verify": True, "proxy": None}
    assert http_options(proxy_url="http://proxy:3128")["proxy"] == "http://proxy:3128"


def test_every_setting_that_names_a_file_is_made_absolute() -> None:
    """A command in another folder finds the same file."""
    named = {
        variable(settings, name, field)
        for settings in Settings.__subclasses__()
        for name, field in settings.model_fields.items()
        if any(getattr(rule, "func", None) in {_file, _certificate} for rule in field.metadata)
    }
    assert named - {"DASHBOARDS_CA_FILE"} == set(_FILE_NAMES)  # its importer is started by hand
