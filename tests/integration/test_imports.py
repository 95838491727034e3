"""Which package imports which: the linter's contracts hold, and `mesh` is what the services share and nothing else."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "processor", "monitor")
PACKAGES = ("mesh", *SERVICES, "registry", "stack", "contracts", "cli")


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """Return the files of a package's modules, by the modules' names."""
    found = {}
    for path in (root / package).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path) -> Iterator[str]:
    """Yield what a module imports, wherever in it: names of modules, and of what may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def unused_by_services(root: Path) -> set[str]:
    """Return the modules of `mesh` that no service imports, not even by way of others."""
    mesh = modules_of(root, "mesh")
    waiting = [path for service in SERVICES for path in modules_of(root, service).values()]
    assert waiting
    used: set[str] = set()
    while waiting:
        for name in imports_of(waiting.pop()):
            # A module comes with the packages that it is in.
            steps = name.split(".")
            new = {".".join(steps[:end]) for end in range(1, len(steps) + 1)} & mesh.keys() - used
            used |= new
            waiting += [mesh[module] for module in new]
    return mesh.keys() - used


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the packages and of the linter's contracts, which a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter as CI does, on the packages of a folder."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=root, capture_output=True, text=True, timeout=60, check=False)


def test_mesh_has_nothing_that_no_service_imports() -> None:
    """What only the command line, the stack or the generators use stands with them."""
    assert unused_by_services(ROOT) == set()


def test_a_module_of_mesh_for_the_command_line_alone_is_found(copy: Path) -> None:
    """It, and what it alone uses; a service's import of one, even inside a function, ends that."""
    (copy / "mesh" / "terminal.py").write_text("from mesh import colors\n")
    (copy / "mesh" / "colors.py").write_text("")
    (copy / "cli" / "shows.py").write_text("import mesh.terminal\n")
    assert unused_by_services(copy) == {"mesh.terminal", "mesh.colors"}
    (copy / "monitor" / "shows.py").write_text("def show():\n    from mesh.terminal import colors\n")
    assert unused_by_services(copy) == set()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("processor/integrity/lost.py", "from cli import console"),
        ("gateway/bootstrap.py", "import monitor.bootstrap"),
        ("mesh/ids.py", "import stack.ports"),
        ("registry/store.py", "import mesh.ids"),
        ("stack/probes.py", "import cli.console"),
        ("contracts/buf.py", "import registry.canonical"),
    ],
)
def test_an_import_that_breaks_a_layer_is_found(copy: Path, module: str, line: str) -> None:
    """Also one inside a function; and the linter says where it is."""
    path = copy / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\ndef _spoil() -> None:\n    {line}\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stderr
    assert f"{module.removesuffix('.py').replace('/', '.')} -> {line.split()[1]}" in done.stdout
    assert "Contracts: 5 kept, 1 broken" in done.stdout
