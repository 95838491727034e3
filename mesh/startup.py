"""What a service does first, to start quickly: it puts off garbage collection, and keeps out what it never uses.

This module imports nothing else of the platform, so that it can come before everything.
"""

import gc
import sys
from types import ModuleType
from typing import cast

_COLLECT_AFTER = 20_000  # objects; the default is 700, less than what 128 commands under way hold


def begin() -> None:
    """Prepare the imports. To be called before anything else is imported.

    They make some two hundred thousand objects, and looking through them again and again took a sixth of a start.
    A tenth of what was left went to rich: structlog and httpx import it wherever it is installed, to draw for people
    what a service writes as JSON. None in its place tells them that it is not there.
    """
    gc.disable()
    cast(dict[str, ModuleType | None], sys.modules).setdefault("rich", None)


def end() -> None:
    """Collect garbage again, seldom, and never look at what there is by now: that took a tenth of a command's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    gc.enable()
