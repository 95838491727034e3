"""Reading a `.env` file, strictly: a line that can't be meant as it stands is told of, and never passed over."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SettingsError(ValueError):
    """Settings can't be used. The message has one sentence for each mistake: where it is, and what to do."""


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a `.env` file says."""

    path: Path
    values: Mapping[str, str]  # by name, in the order of the lines
    lines: Mapping[str, int]  # where each name stands, counted from 1

    def place(self, name: str) -> str:
        """Return where a name stands, such as `line 3 of /srv/polystream/.env`."""
        return f"line {self.lines[name]} of {self.path}"


def read_env_file(path: Path) -> EnvFile:
    """Return what the file says: `NAME=value` a line, quoted or not, after `export` or not, with `#` comments.

    `${OTHER}`, or `${OTHER:-default}`, in a value without single quotes is replaced, by the environment or a line
    above. Raises SettingsError where the file can't be read, where a line is none of these, where a value names what
    nothing sets, and where two lines set one name.
    """
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(StringIO(_read_text(path))):
        name, line = binding.key, _line_of(binding)
        place = f"line {line} of {path}"
        if binding.error:
            raise SettingsError(f"{place} can't be read: {_remedy(binding.original.string)}")
        if name is None:
            continue
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{place} can't be read: {name!r} is no name of a setting, write NAME=value")
        if binding.value is None:
            raise SettingsError(f"{place} names {name} and sets nothing: write {name}=value, or leave the line out")
        if name in lines:
            raise SettingsError(f"{place} sets {name} again, after line {lines[name]}: leave one of the two out")
        if "\0" in binding.value:
            raise SettingsError(f"{place} has a NUL in the value of {name}: write it anew")
        is_literal = binding.original.string.partition("=")[2].lstrip().startswith("'")
        values[name] = binding.value if is_literal else _resolved(binding.value, values, place)
        lines[name] = line
    return EnvFile(path, values, lines)


def _resolved(value: str, above: Mapping[str, str], place: str) -> str:
    """Return a value with what it names of the environment, or of the lines above, in place of the name."""
    known = {**above, **os.environ}
    text = ""
    for atom in parse_variables(value):
        name = getattr(atom, "name", None)
        if name is not None and getattr(atom, "default", None) is None and name not in known:
            raise SettingsError(
                f"{place} uses ${{{name}}}, which nothing sets: set {name} on a line above, or put the value in single "
                "quotes if it is meant as it stands"
            )
        text += atom.resolve(known)
    return text


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SettingsError(f"{path} is not there: make it, or let POLYSTREAM_ENV_FILE name another file") from error
    except IsADirectoryError as error:
        raise SettingsError(
            f"{path} is a folder, and settings stand in a file: move the folder away, or let POLYSTREAM_ENV_FILE name "
            "another file"
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} can't be read ({error.strerror}): give it to your user") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"line {line} of {path} is not UTF-8: save the file as UTF-8, or write that line without special characters"
        ) from error


def _line_of(binding: Binding) -> int:
    """Return the line on which a binding itself begins: the parser counts the empty lines before it, too."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _remedy(text: str) -> str:
    """Return what to do about a line that can't be read. It is not quoted: it may hold a password."""
    name, equals, value = text.strip().partition("=")
    if not equals or not name:
        return "write NAME=value, or begin it with # if it is a comment"
    quote = value.strip()[:1]
    if quote in {"'", '"'}:
        told = name.removeprefix("export ").strip()
        return (
            f"close the quotation mark {quote} before the value of {told}, and write no more than a # comment after it"
        )
    return "write NAME=value"
