"""The SDK as its users have it: built, installed without the server, typed."""

import zipfile
from pathlib import Path

from tests.support.sdk_install import Environment, build, readme_program, server_dependencies


def test_wheel_is_the_same_from_a_checkout_and_from_its_sdist(sdk_wheel: Path, tmp_path: Path) -> None:
    """Built either way, the wheel holds the same files: the SDK, the generated messages, both typed."""
    direct = build(tmp_path / "direct", "--wheel")
    names, direct_names = (set(zipfile.ZipFile(wheel).namelist()) for wheel in (sdk_wheel, direct))
    assert names == direct_names
    packages = {"polystream_sdk", "polystream_api", "polystream_sdk-0.1.0.dist-info"}
    assert {name.split("/")[0] for name in names} == packages
    assert {"polystream_sdk/py.typed", "polystream_api/py.typed", "polystream_sdk/services/users.py"} <= names
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_needs_nothing_of_the_server(sdk_environment: Environment) -> None:
    """Installed alone, it brings two packages and theirs, none of the server's, and imports."""
    packages = sdk_environment.packages
    assert {"polystream-sdk", "betterproto2", "grpclib"} <= packages
    assert packages & server_dependencies() == set()
    assert len(packages) < 15
    said = sdk_environment.run("import polystream_sdk; print(polystream_sdk.Polystream.__name__)")
    assert said == ["Polystream"]


def test_sample_program_is_typed(sdk_environment: Environment) -> None:
    """A program that uses every kind of method passes mypy's strict mode, its mistakes being found."""
    program = Path(__file__).with_name("sample_program.py")
    assert sdk_environment.type_check(program) == "Success: no issues found in 1 source file\n"


def test_readme_program_is_typed(sdk_environment: Environment, tmp_path: Path) -> None:
    """The README's program passes mypy's strict mode."""
    program = tmp_path / "program.py"
    program.write_text(readme_program())
    assert sdk_environment.type_check(program) == "Success: no issues found in 1 source file\n"
