"""Redis: Debian's where it is installed, else the wheel's Valkey."""

from pathlib import Path
from typing import Final

from stack.engines.native.folders import moved
from stack.engines.redis import make_engine, wheel_server

_DEBIAN: Final = Path("/usr/bin/redis-server")


def _server() -> str:
    return str(_DEBIAN) if _DEBIAN.exists() else wheel_server()


ENGINE: Final = moved(make_engine(_server))
