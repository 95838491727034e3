"""The terminal, as every command writes to it."""

import sys
from typing import Final, TextIO, cast

from rich.console import Console

from cli.output import ToleratedStream

_WIDTH_ELSEWHERE: Final = 200  # columns, in a file or a pipe, where nothing is gained by a narrow table


def make_console(*, stderr: bool = False, tolerant: bool = False) -> Console:
    """Return a console as wide as the terminal, or wide enough where there is none.

    A `tolerant` one shows what goes on by itself: where its output is gone or full, it shows nothing more.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_ELSEWHERE
    file = cast(TextIO, ToleratedStream(stream)) if tolerant else None
    return Console(file=file, stderr=stderr, highlight=False, width=width, soft_wrap=True)
