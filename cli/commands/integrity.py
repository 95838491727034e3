"""`polystream integrity check|repair`: drift between the stores, found and repaired."""

import argparse
import os
import subprocess
import sys

from cli.platform import add_data_dir
from cli.reach import NothingRunsError, settings_for

_ACTIONS = {
    "check": "say what a store has lost, or has left over",
    "repair": "send lost commands again",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers = {name: actions.add_parser(name, help=summary, description=summary) for name, summary in _ACTIONS.items()}
    parsers["repair"].add_argument(
        "--force", action="store_true", help="those too that later commands have overtaken, or that may not be safe"
    )
    parsers["repair"].add_argument(
        "--erase-orphans", action="store_true", help="delete what is there of users who are not in PostgreSQL"
    )
    for action in parsers.values():
        action.add_argument("--json", action="store_true", help="write JSON")
        add_data_dir(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it: 0 when nothing is wrong, 1 when something is, 2 when it can't be told.

    The processor does the work, in a process of its own: it alone knows what is in the stores.
    """
    try:
        settings = settings_for(arguments.data_dir)
    except NothingRunsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = {"--json": arguments.json}
    if arguments.action == "repair":
        options |= {"--force": arguments.force, "--erase-orphans": arguments.erase_orphans}
    argv = [sys.executable, "-m", "processor.integrity", arguments.action, *(o for o, said in options.items() if said)]
    return subprocess.run(argv, env=os.environ | settings, check=False).returncode  # noqa: S603 - our own program
