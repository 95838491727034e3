"""Whether there is a screen on which a browser could be opened."""

import os
import sys


def has_display() -> bool:
    """Tell whether this session has one."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
