"""Which package imports which: the linter's contracts hold, and `mesh` is what the services share and nothing else."""

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "processor", "monitor")
PACKAGES = ("mesh", *SERVICES, "registry", "broker", "stack", "contracts", "cli")
# Where a service's processes begin. The integrity check and what is parked are the processor's, and the command line
# asks for them.
ENTRY_POINTS = (
    *(f"{service}.__main__" for service in SERVICES),
    "monitor.saved_objects.__main__",
    "processor.admin.__main__",
    "processor.integrity.inspection",
    "processor.integrity.orphans",
    "processor.integrity.parked",
    "processor.replay.replay",
)
FOUND_BY_NAME = "processor.handlers"  # its modules are imported by the names of the commands
# What imports a module whose name is a text, so that the linter does not see it.
DYNAMIC_IMPORTS = {
    "__import__", "import_module", "reload", "run_module", "run_path", "resolve_name", "module_from_spec",
    "spec_from_file_location", "exec_module", "load_module", "SourceFileLoader",
}  # fmt: skip
MODULES_WITH_DYNAMIC_IMPORTS = {
    "mesh.catalog",  # the generated modules of `polystream.v1`
    "mesh.proto_json",  # the same
    "processor.handlers",  # the commands' modules
    "cli.__main__",  # the module of the subcommand that was asked for
    # The self-check wraps the services' modules, each only in the process that has it.
    *(f"cli.verify.breakpoints.{module}" for module in ("clock", "launching", "older", "wrapping")),
    "cli.commands.contracts",  # `contracts.check`, which an installation without the development packages cannot import
}


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """Return the files of a package's modules, by the modules' names."""
    found = {}
    for path in (root / package).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def nodes_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes, except what only a type checker reads."""
    yield node
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
        children = list(node.orelse)
    for child in children:
        yield from nodes_at_run_time(child)


def imports_of(path: Path) -> Iterator[str]:
    """Yield what a module imports at run time, wherever in it: names of modules, and of what may be modules."""
    for node in nodes_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def names_in(path: Path) -> Iterator[str]:
    """Yield every name that a module's code uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name.rpartition(".")[2]


def unused_by_services(root: Path) -> set[str]:
    """Return the modules of `mesh` and of the services that no process of a service imports, not even through others.

    A module with which nothing begins, and which nothing imports, makes no other one used.
    """
    modules = {name: path for package in ("mesh", *SERVICES) for name, path in modules_of(root, package).items()}
    assert modules.keys() >= {*ENTRY_POINTS, FOUND_BY_NAME}
    waiting = [*ENTRY_POINTS, *(name for name in modules if name.startswith(f"{FOUND_BY_NAME}."))]
    used: set[str] = set()
    while waiting:
        # A module comes with the packages that it is in.
        steps = waiting.pop().split(".")
        new = {".".join(steps[:end]) for end in range(1, len(steps) + 1)} & modules.keys() - used
        used |= new
        for module in new:
            waiting += imports_of(modules[module])
    return modules.keys() - used


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


def test_mesh_and_the_services_have_nothing_that_no_service_imports() -> None:
    """What only the command line, the stack or the generators use stands with them."""
    assert unused_by_services(ROOT) == set()


def test_a_module_of_mesh_for_the_command_line_alone_is_found(copy: Path) -> None:
    """It, and what it alone uses; an import in a module that a service runs, even inside a function, ends that."""
    (copy / "mesh" / "terminal.py").write_text("from mesh import colors\n")
    (copy / "mesh" / "colors.py").write_text("")
    (copy / "cli" / "shows.py").write_text("import mesh.terminal\n")
    assert unused_by_services(copy) == {"mesh.terminal", "mesh.colors"}
    with (copy / "monitor" / "service.py").open("a") as file:
        file.write("\ndef show():\n    from mesh.terminal import colors\n")
    assert unused_by_services(copy) == set()


def test_an_import_that_never_runs_does_not_count(copy: Path) -> None:
    """One for the type checker alone, and one in a module that nothing imports."""
    (copy / "mesh" / "terminal.py").write_text("")
    with (copy / "monitor" / "service.py").open("a") as file:
        file.write("\nif TYPE_CHECKING:\n    import mesh.terminal\n")
    (copy / "gateway" / "spare.py").write_text("import mesh.terminal\n")
    assert unused_by_services(copy) == {"mesh.terminal", "gateway.spare"}


def test_the_linter_sees_every_package_and_every_import() -> None:
    """A package beside the known ones would be nobody's, and a module named by a text is an import unseen."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert packages == set(PACKAGES) == set(settings["importlinter"]["root_packages"])
    assert packages <= set(settings["hatch"]["build"]["targets"]["wheel"]["packages"])
    dynamic = {
        name
        for package in PACKAGES
        for name, path in modules_of(ROOT, package).items()
        if not DYNAMIC_IMPORTS.isdisjoint(names_in(path))
    }
    assert dynamic == MODULES_WITH_DYNAMIC_IMPORTS


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("processor/integrity/lost.py", "from cli import console"),
        ("gateway/bootstrap.py", "import monitor.bootstrap"),
        ("mesh/ids.py", "import stack.ports"),
        ("registry/store.py", "import mesh.ids"),
        ("broker/store.py", "import mesh.ids"),
        ("stack/probes.py", "import cli.console"),
        ("contracts/buf.py", "import registry.canonical"),
        ("gateway/doors/grpc_server.py", "import polystream_sdk"),
    ],
)
def test_an_import_that_breaks_a_layer_is_found(copy: Path, module: str, line: str) -> None:
    """Also one inside a function; and the linter says where it is."""
    path = copy / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\ndef _spoil() -> None:\n    {line}\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stderr
    assert f"{module.removesuffix('.py').replace('/', '.')} -> {line.split()[1]}" in done.stdout
    assert "Contracts: 7 kept, 1 broken" in done.stdout
