"""PostgreSQL: Debian's version 15 where it is installed, else the wheel's."""

from pathlib import Path
from typing import Final

from stack.engines.native.folders import moved
from stack.engines.postgresql import WHEEL, Installation, make_engine

_DEBIAN: Final = Path("/usr/lib/postgresql/15/bin")


def _debian_program(name: str) -> str:
    return str(_DEBIAN / name)


DEBIAN: Final = Installation("15", _debian_program, ("--locale=C.UTF-8",))


def _installation() -> Installation:
    return DEBIAN if (_DEBIAN / "initdb").exists() else WHEEL


ENGINE: Final = moved(make_engine(_installation))
