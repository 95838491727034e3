"""`polystream open [PAGE]`: a page of the running platform, in the browser."""

import argparse
import sys
import webbrowser
from typing import Final

from cli.arguments import one_of
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.display import has_display
from cli.printable import printable, write_error
from cli.running import endpoints_for

# Each page, and the endpoint that has it.
_PAGES: Final = {
    "dashboard": "dashboard",
    "api": "docs",
    "jaeger": "jaeger",
    "dashboards": "dashboards",
    "kafka-ui": "kafka_ui",
    "adminer": "adminer",
    "mongo-express": "mongo_express",
    "redis-commander": "redis_commander",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "page",
        nargs="?",
        type=one_of(*_PAGES),
        default="dashboard",
        metavar="PAGE",
        help=f"one of {', '.join(_PAGES)}; the dashboard without it",
    )
    parser.add_argument("--print", action="store_true", help="only write the address")
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Open the page, or write its address where there is no browser: 0; 2 where the page is not there."""
    try:
        endpoints = endpoints_for(choose_data_dir(arguments, only_one_will_do=True))
    except NothingRunsError as error:
        write_error(error)
        return 2
    address = endpoints.get(_PAGES[arguments.page])
    if not address:
        there = ", ".join(page for page, name in _PAGES.items() if endpoints.get(name))
        write_error(f"this platform has no {arguments.page}; it has {there}")
        return 2
    if arguments.print or not has_display() or not webbrowser.open(address):
        sys.stdout.write(f"{printable(address)}\n")
    return 0
