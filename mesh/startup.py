"""What a service does first, to start quickly: it puts off garbage collection, and leaves out what it never uses.

This module imports nothing else of the platform, so that it can come before everything.
"""

import gc
import sys
from types import ModuleType
from typing import cast

_COLLECT_AFTER = 20_000  # objects; the default is 700, less than what 128 commands under way hold


def begin() -> None:
    """Make the imports cheap. Call it before anything else is imported, and `end` after the last import.

    The imports create about two hundred thousand objects. Measured, the garbage collector spent a sixth of a start on
    looking through them again and again. Importing rich took a tenth of the rest: structlog and httpx import it
    wherever it is installed, although a service writes JSON. None in `sys.modules` makes them go without it.
    """
    gc.disable()
    cast(dict[str, ModuleType | None], sys.modules).setdefault("rich", None)


def end() -> None:
    """Collect garbage again, but seldom, and never look at the objects that exist by now.

    Measured, looking at them took a tenth of the time of a command.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    gc.enable()
