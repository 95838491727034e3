"""Every help text of the command line, for `cli/help.json`: `start.py` shows them before anything is installed.

`python -m cli.help` prints the file.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator

from cli.__main__ import COMMANDS, make_parser

_COLUMNS = "100"


def help_pages() -> dict[str, str]:
    """Return the help of each command, and of each of its own commands, by its words; that of all has none."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS  # argparse asks for it
    try:
        return dict(_pages(make_parser(COMMANDS), ""))
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _pages(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, str]]:
    yield words, parser.format_help()
    for action in parser._actions:  # noqa: SLF001 - nothing public lists them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, subparser in action.choices.items():
                yield from _pages(subparser, f"{words} {name}".strip())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(help_pages(), indent=1, ensure_ascii=False) + "\n")
