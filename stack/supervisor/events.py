"""What the supervisor tells: JSON lines to whoever started it, and the same to its log."""

import contextlib
import json
import os
import select
import sys
import time
from typing import Any

_WRITE_TIMEOUT_S = 2.0


class EventPipe:
    """Writes events to a pipe whose reader may be slow, or gone, at any time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        os.set_blocking(descriptor, False)

    def send(self, event: dict[str, Any]) -> None:
        """Write one event. A reader that is gone, or takes nothing for 2 s, gets no more of them."""
        if self._descriptor is None:
            return
        data = json.dumps(event).encode() + b"\n"
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                if not select.select([], [self._descriptor], [], _WRITE_TIMEOUT_S)[1]:
                    self._descriptor = None
                    return
            except OSError:
                self._descriptor = None
                return


def log_event(event: dict[str, Any]) -> None:
    """Write one event to standard error, for the log. Endpoints, which carry credentials, are left out."""
    shown = {name: value for name, value in event.items() if name != "endpoints" and value not in {"", None}}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):
        sys.stderr.write(json.dumps({"timestamp": stamp, **shown}) + "\n")
        sys.stderr.flush()
