"""The terminal, as every command writes to it."""

import sys
from typing import Any, Final, TextIO, cast

from rich.console import Console
from rich.text import Text

from cli.output import ToleratedStream
from cli.printable import printable

_WIDTH_ELSEWHERE: Final = 200  # columns, in a file or a pipe, where nothing is gained by a narrow table


class PrintableConsole(Console):
    r"""A console that writes out, as `\x1b`, what a terminal would take for an order, wherever a text comes from."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a text of a string: every string that is printed, a table's and a tree's too, comes here."""
        return super().render_str(printable(text), **options)


def counted(count: int, noun: str) -> str:
    """Return how many of a thing there are: `1 command`, `2 commands`. `noun` takes an s where they are several."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def make_console(*, stderr: bool = False, tolerant: bool = False) -> Console:
    """Return a console as wide as the terminal, or wide enough where there is none.

    A `tolerant` one shows what goes on by itself: where its output is gone or full, it shows nothing more.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_ELSEWHERE
    file = cast(TextIO, ToleratedStream(stream)) if tolerant else None
    return PrintableConsole(file=file, stderr=stderr, highlight=False, emoji=False, width=width, soft_wrap=True)
