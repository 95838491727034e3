"""Reading the command line: what can't be read is told in one sentence that says what to do."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

USAGE_EXIT_CODE: Final = 2
_NEAR: Final = 0.6  # as `difflib` measures it: `extrenal` and `external` have 0.88


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence each, without the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read on, and end with 2."""
        self._refuse(self.prog, _plain(message))

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read a command and its arguments. One that is none of them is told with the nearest that is."""
        read, unknown = self.parse_known_args(arguments)
        if unknown:
            command = f"{self.prog} {arguments[0]}"
            self._refuse(
                command, f"{unknown[0]} is not known here{meant(unknown[0].partition('=')[0], _options(self))}"
            )
        return read

    def _refuse(self, command: str, sentence: str) -> NoReturn:
        end = "" if sentence.endswith("?") else "."
        self.exit(USAGE_EXIT_CODE, f"{command}: {sentence}{end} `{command} --help` shows what it takes.\n")


def meant(text: str, words: Iterable[str]) -> str:
    """Return `, did you mean …?` with the word that is nearest to a text; empty where none is near."""
    near = difflib.get_close_matches(text, list(words), n=1, cutoff=_NEAR)
    return f", did you mean {near[0]}?" if near else ""


def one_of(*words: str) -> Callable[[str], str]:
    """Return a type of arguments that takes one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(words)}{meant(text, words)}")
        return text

    return read


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a type of arguments that takes a whole number between two others, they included."""

    def read(text: str) -> int:
        if re.fullmatch(r"[+-]?[0-9]{1,9}", text) is None or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def correlation_id(text: str) -> str:
    """Take a correlation ID."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", text) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no correlation ID: take correlation_id from a command's answer, a UUID such as "
            "019a1b2c-3d4e-7f50-8123-456789abcdef"
        )
    return text


def parts_meant(name: str, parts: Iterable[str]) -> tuple[str, ...]:
    """Return the parts that a name means: the one of this name, or all that are counted under it.

    `gateway` means gateway-0, gateway-1 and so on, and `lane` every lane. Empty where it means none.
    """
    named = tuple(parts)
    if name in named:
        return (name,)
    return tuple(part for part in named if part.startswith(f"{name}-"))


def new_file(text: str) -> Path:
    """Take the path of a file that is going to be written, or `-`."""
    path = Path(text)
    if text != "-" and not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder {path.parent} is not there: make it, or name another file")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder: name a file in it")
    return path


def folder(text: str) -> Path:
    """Take the path of a folder, which may not be there yet."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a folder")
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file: name a folder, which is made where it is missing")
    return path


def refuse(program: str, sentence: str) -> int:
    """Say why nothing is done, and return the exit code."""
    sys.stderr.write(f"{program}: {sentence}\n")
    return USAGE_EXIT_CODE


def _plain(message: str) -> str:
    """Return argparse's words without its own beginning and end."""
    text = re.sub(r"^argument (\S+): ", r"\1: ", message)
    chosen = re.fullmatch(r"(\S+): invalid choice: '(.*)' \(choose from (.*)\)", text)
    if chosen:
        name, given, listed = chosen.groups()
        words = re.findall(r"[^\s',]+", listed)
        return f"{name}: {given!r} is none of {', '.join(words)}{meant(given, words)}"
    return text.replace("the following arguments are required: ", "it needs ")


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - nothing public lists them
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for subparser in action.choices.values():
                yield from _options(subparser)
