"""`polystream logs [PART…]`: what the parts of a platform have written, as one."""

import argparse
import json
import sys
import time
from typing import Final

from cli.arguments import correlation_id, whole_number
from cli.folders import add_data_dir
from cli.printable import printable, printable_json, write_error
from mesh.supervisor_client import LOG_LINES_MAX, LoggedLine
from stack.logs import LogReader, parts_with_logs, shown_time

_INTERVAL_S: Final = 0.25


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("parts", nargs="*", metavar="PART", help="a part, as `status` names it; all without one")
    parser.add_argument("--follow", action="store_true", help="go on with what is written, until Ctrl-C")
    parser.add_argument(
        "--lines", type=whole_number(0, LOG_LINES_MAX), default=200, metavar="N", help="the last N lines (default: 200)"
    )
    parser.add_argument(
        "--correlation-id", type=correlation_id, metavar="ID", help="only lines that name this operation"
    )
    parser.add_argument("--json", action="store_true", help="write a JSON object for each line")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines, in the order of time: 0, or 2 where there are no logs. A platform that has stopped has some."""
    folder = arguments.data_dir.resolve() / "logs"
    there = parts_with_logs(folder)
    if not there:
        write_error(f"there are no logs in {folder}: start a platform with `up`, or say --data-dir")
        return 2
    if unknown := [part for part in arguments.parts if part not in there]:
        write_error(f"there is no log of {unknown[0]}; there are {', '.join(there)}")
        return 2
    reader = LogReader(folder, arguments.parts or there, arguments.correlation_id or "")
    _show(reader.last(arguments.lines), as_json=arguments.json)
    while arguments.follow:
        time.sleep(_INTERVAL_S)
        _show(reader.new(), as_json=arguments.json)
    return 0


def _show(lines: list[LoggedLine], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            document = {"part": line.part, "timestamp": shown_time(line.time_s) or None, "line": line.text}
            sys.stdout.write(printable_json(json.dumps(document, ensure_ascii=False)) + "\n")
        else:
            sys.stdout.write(f"{line.part:<18} {printable(line.text)}\n")
    sys.stdout.flush()
