"""The engine sets that a run of the tests uses.

Tests of one service run on one set, `native` if nothing else is asked for: the engines that a production would have.
Of the acceptance tests, those run on both that a set of engines could make a difference to, since users start both:
they are marked with `every_engine_set`. `pytest --engines SET` chooses one for all.
"""

import os
from typing import Final

from stack.engines import ENGINE_SETS
from stack.engines.spec import EngineSpec

VARIABLE: Final = "POLYSTREAM_TEST_ENGINES"  # inherited by a pytest that a test starts
BOTH: Final = "both"
CHOICES: Final = ("native", "embedded", BOTH)
_SETS: Final = ("native", "embedded")


def chosen_sets() -> tuple[str, ...]:
    """Return the sets of the run, the lightest last."""
    choice = os.environ.get(VARIABLE, BOTH)
    return _SETS if choice == BOTH else (choice,)


def chosen_set() -> str:
    """Return the set that every other test runs on."""
    return chosen_sets()[0]


def chosen_engines() -> tuple[EngineSpec, ...]:
    """Return the engines of that set."""
    return ENGINE_SETS[chosen_set()]
