"""Has a service go by a wall clock that is wrong, from its start on: what the service itself reads of it, in Python.

A library before the C library, such as libfaketime, is not enough: glibc's own `cnd_timedwait`, by which librdkafka
waits, takes the times that it is given for right ones, and waits for days or not at all.
"""

import datetime as dt
import importlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

_FOLDER: Final = "clocks"
GRPC_MODULES: Final = ("grpc._channel", "grpc._server", "grpc._cython.cygrpc", "grpc.aio._utils")
_NS: Final = 1_000_000_000


def set_clock(data_dir: Path, name: str, offset_s: int) -> None:
    """Have a service, by its name, go by a clock so many seconds ahead from its next start on; 0 is right."""
    path = data_dir / _FOLDER / name
    path.parent.mkdir(exist_ok=True)
    if offset_s:
        path.write_text(str(offset_s), encoding="ascii")
    else:
        path.unlink(missing_ok=True)


def clock_of(data_dir: Path, environment: Mapping[str, str]) -> int:
    """Return how many seconds the clock of a process, by its settings, is ahead."""
    name = environment.get("LANE_NAME") or environment.get("GATEWAY_NAME") or ""
    path = data_dir / _FOLDER / name
    return int(path.read_text(encoding="ascii")) if path.is_file() else 0


def begin_by_clock(data_dir: Path) -> None:
    """Give this process the clock that was set for it, if one was, before it has imported what reads clocks."""
    offset_s = clock_of(data_dir, os.environ)
    if offset_s:
        spare_grpc()
        shift_clock(time, dt, offset_s)


def spare_grpc() -> None:
    """Leave gRPC the right clock: it hands times as deadlines to its own core, which has no other."""
    right = SimpleNamespace(**vars(time))
    for name in GRPC_MODULES:
        module: Any = importlib.import_module(name)
        module.time = right


def shift_clock(times: Any, datetimes: Any, offset_s: int) -> None:
    """Have the wall clocks of two modules, `time` and `datetime`, be so many seconds ahead."""
    real_time, real_time_ns, real_datetime = times.time, times.time_ns, datetimes.datetime
    times.time = lambda: real_time() + offset_s
    times.time_ns = lambda: real_time_ns() + offset_s * _NS

    class AnyDatetime(type):
        """Takes the real ones for its own: libraries make those."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real_datetime)

    class ShiftedDatetime(real_datetime, metaclass=AnyDatetime):  # type: ignore[misc, valid-type] # a variable
        """The class by its name, with another present."""

        __slots__ = ()  # compiled libraries know its size

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return real_datetime.now(tz) + dt.timedelta(seconds=offset_s)

    datetimes.datetime = ShiftedDatetime
