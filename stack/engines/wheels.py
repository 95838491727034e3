"""Finding the programs that come inside wheels, without importing the wheels."""

from importlib.util import find_spec
from pathlib import Path

from stack.engines.spec import StackError


def wheel_folder(package: str, distribution: str) -> Path:
    """Return the folder of an installed package. Raises StackError where it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(
            f"the embedded engines are not installed: {distribution} is missing. "
            "Run `python3 start.py`, or install polystream with the extra `embedded`."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def wheel_program(package: str, distribution: str, *path: str) -> str:
    """Return the path of a program inside an installed package. Raises StackError where it is missing."""
    program = wheel_folder(package, distribution).joinpath(*path)
    if not program.exists():
        raise StackError(f"{distribution} has no program for this machine ({program.name} is missing)")
    return str(program)
