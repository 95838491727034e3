"""What a service does first, to start quickly: it puts off garbage collection, and leaves out what it never uses.

This module imports nothing of the platform that imports more, so that it can come before everything.
"""

import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import cast

from mesh.direct import forget_ambient_variables

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


def run(main: Callable[[], int]) -> int:
    """Run a process's `main` with the variables that are meant for it, and return its exit code.

    It is 2 where a setting is not valid: standard error says which, where it stands, and what to write instead.
    """
    from mesh.env_file import SettingsError  # noqa: PLC0415 - see above

    forget_ambient_variables()
    try:
        return main()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
