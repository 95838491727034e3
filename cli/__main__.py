"""The `polystream` command line."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Final, Protocol

from cli.arguments import Parser, meant, refuse
from cli.output import with_streams
from mesh.env_file import SettingsError


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: its module is imported when it is called, so that none waits for another's imports."""

    name: str
    summary: str
    passes_arguments_on: bool = False  # its arguments are another program's


class _Module(Protocol):
    """What the module `cli.commands.NAME` offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


COMMANDS: Final = (
    _Command("up", "start the platform"),
    _Command("down", "stop the platform"),
    _Command("status", "show how every part is"),
    _Command("top", "show rates, latencies and lag as they change"),
    _Command("logs", "show what the parts have written, and follow it"),
    _Command("restart", "start one part again, or all of its kind"),
    _Command("open", "open the dashboard, or another page, in the browser"),
    _Command("call", "call a method of the API, by reflection"),
    _Command("explain", "tell the whole story of one operation"),
    _Command("dlq", "show the dead letters, and send them again"),
    _Command("integrity", "find what the stores have lost or left over, and repair it"),
    _Command("replay", "build MongoDB or Redis anew from PostgreSQL and the log, in another database"),
    _Command("bench", "measure the platform beside the design that it replaces"),
    _Command("verify", "run a platform of its own under load and faults, and check that it keeps its promises"),
    _Command("contracts", "generate from the protos, or check what they break", passes_arguments_on=True),
    _Command("docs", "build the documentation as a website, which the dashboard serves"),
    _Command("test", "run the tests; arguments are pytest's", passes_arguments_on=True),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return with_streams(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    named = next((command for command in COMMANDS if arguments[:1] == [command.name]), None)
    if named and named.passes_arguments_on:
        return _load(named).run(argparse.Namespace(arguments=arguments[1:]))
    if named is None and (mistake := _mistake(arguments)):
        return refuse("polystream", mistake)
    parser = make_parser([named] if named else [])
    parsed = parser.read(arguments)
    if named is None:
        return 0
    try:
        return _load(named).run(parsed)
    except SettingsError as error:
        return refuse("polystream", str(error))
    except KeyboardInterrupt:
        return 130


def make_parser(loaded: Sequence[_Command]) -> Parser:
    """Return the parser, with the arguments of those commands whose modules may be imported for it."""
    parser = Parser(prog="polystream", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"polystream {version('polystream')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name, help=command.summary, description=command.summary, allow_abbrev=False
        )
        if command in loaded:
            _load(command).configure(subparser)
    return parser


def _mistake(arguments: Sequence[str]) -> str | None:
    """Return what is wrong with a command line that begins with no command; None where it asks for help."""
    names = [command.name for command in COMMANDS]
    if not arguments:
        return f"say what to do, by one of {', '.join(names)}; `polystream --help` tells more"
    first = arguments[0]
    if first in {"-h", "--help", "--version"}:
        return None
    if not first.startswith("-"):
        near = meant(first, names) or f"; there are {', '.join(names)}"
        return f"there is no command {first!r}{near}"
    if command := next((argument for argument in arguments if argument in names), None):
        rest = list(arguments)
        rest.remove(command)
        return f"the command comes first: `polystream {' '.join((command, *rest))}`"
    return f"the command comes first, one of {', '.join(names)}: `polystream up {' '.join(arguments)}`"


def _load(command: _Command) -> _Module:
    module: _Module = import_module(f"cli.commands.{command.name}")
    return module


if __name__ == "__main__":
    sys.exit(main())
