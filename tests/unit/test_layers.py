"""The services know `mesh` and the generated code, and never one another."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "processor", "monitor")


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ["mesh", *SERVICES])
def test_a_package_imports_no_service_but_itself(package: str) -> None:
    """A service imports no other service, and `mesh` imports none at all."""
    forbidden = set(SERVICES) - {package}
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {
        str(path.relative_to(ROOT)): imported_packages(path) & forbidden
        for path in modules
        if imported_packages(path) & forbidden
    }
    assert wrong == {}
