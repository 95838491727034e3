"""`polystream logs [PART…]`: what the parts of a platform have written, as one."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cli.arguments import correlation_id, parts_meant, whole_number
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.console import make_console
from cli.log_lines import to_document, to_text
from cli.printable import printable_json, write_error
from mesh.supervisor_client import LOG_LINES_MAX, LoggedLine
from stack.logs import LogReader, parts_with_logs

_INTERVAL_S: Final = 0.25


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help="a part, as `status` names it; `gateway` means every gateway, `lane` every lane; all without one",
    )
    parser.add_argument("--follow", action="store_true", help="go on with what is written, until Ctrl-C")
    parser.add_argument(
        "--lines", type=whole_number(0, LOG_LINES_MAX), default=200, metavar="N", help="the last N lines (default: 200)"
    )
    parser.add_argument(
        "--correlation-id", type=correlation_id, metavar="ID", help="only lines that name this operation"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--json", action="store_true", help="write a JSON object for each line, as it does where no terminal reads it"
    )
    forms.add_argument("--text", action="store_true", help="write lines for people, as it does on a terminal")
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines, in the order of time: 0, or 2 where there are no logs. A platform that has stopped has some."""
    try:
        folder = _logs_of(arguments)
    except NothingRunsError as error:
        write_error(error)
        return 2
    there = parts_with_logs(folder)
    if not there:
        write_error(f"there are no logs in {folder}: start a platform with `up`, or say --data-dir")
        return 2
    parts = [part for name in arguments.parts for part in parts_meant(name, there)]
    if unknown := [name for name in arguments.parts if not parts_meant(name, there)]:
        write_error(f"there is no log of {unknown[0]}; there are {', '.join(there)}")
        return 2
    reader = LogReader(folder, tuple(dict.fromkeys(parts)) or there, arguments.correlation_id or "")
    show = _writer(as_json=arguments.json or not (arguments.text or sys.stdout.isatty()))
    show(reader.last(arguments.lines))
    while arguments.follow:
        time.sleep(_INTERVAL_S)
        show(reader.new())
    return 0


def _logs_of(arguments: argparse.Namespace) -> Path:
    """Return the folder with the logs. Those of the checkout come first, also when nothing runs any more."""
    data_dir = choose_data_dir(arguments)
    is_named = arguments.data_dir is not None or arguments.port_offset is not None
    if not is_named and not parts_with_logs(data_dir.resolve() / "logs"):
        data_dir = choose_data_dir(arguments, only_one_will_do=True)
    return data_dir.resolve() / "logs"


def _writer(*, as_json: bool) -> Callable[[list[LoggedLine]], None]:
    """Return what writes lines."""
    console = make_console()

    def write(lines: list[LoggedLine]) -> None:
        for line in lines:
            if as_json:
                sys.stdout.write(printable_json(json.dumps(to_document(line), ensure_ascii=False)) + "\n")
            else:
                console.print(to_text(line))
        sys.stdout.flush()

    return write
