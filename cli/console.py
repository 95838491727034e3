"""The terminal, as every command writes to it."""

import sys
from typing import Final

from rich.console import Console

_WIDTH_ELSEWHERE: Final = 200  # columns, in a file or a pipe, where nothing is gained by a narrow table


def make_console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or wide enough where there is none."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if is_terminal else _WIDTH_ELSEWHERE, soft_wrap=True)
