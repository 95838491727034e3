"""`polystream top`: rates, latencies and lag of a running platform, as they change.

It asks each process for its own metrics, by its `/metrics`: it needs neither the monitor nor a gateway.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from rich.live import Live

from cli import compose
from cli.arguments import whole_number
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir, nothing_on
from cli.console import make_console
from cli.printable import printable_json, write_error
from cli.top.figures import TopFigures, compare
from cli.top.keys import Keys
from cli.top.readings import read_platform
from cli.top.screen import screen

_INTERVAL_MAX_S: Final = 3600
_COLUMNS: Final = 80
_QUIT: Final = b"qQ"
_Show = Callable[[TopFigures], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--once", action="store_true", help="show it once, and leave")
    parser.add_argument(
        "--interval",
        type=whole_number(1, _INTERVAL_MAX_S),
        default=2,
        metavar="S",
        help="between two looks, in seconds (default: 2)",
    )
    parser.add_argument("--json", action="store_true", help="write a JSON object for each look")
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show it until q or Ctrl-C: 0; 2 where nothing runs, 3 where the platform has stopped meanwhile."""
    try:
        data_dir = choose_data_dir(arguments, only_one_will_do=True)
        if engine := compose.started_with(data_dir):
            write_error(
                "this platform runs in containers, which tell their metrics to each other only: see the dashboard, "
                f"or `{engine[0]} stats`"
            )
            return 2
        before = read_platform(data_dir)
        if before is None:
            raise nothing_on(data_dir)
        in_place = sys.stdout.isatty() and not (arguments.json or arguments.once)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # the terminal is left as it was found
        with Keys(wanted=in_place) as keys, _shown(as_json=arguments.json, in_place=in_place) as show:
            while not keys.is_pressed(_QUIT, arguments.interval):
                now = read_platform(data_dir)
                if now is None:
                    break
                show(compare(before, now))
                if arguments.once:
                    return 0
                before = now
            else:
                return 0
    except NothingRunsError as error:
        write_error(error)
        return 2
    except KeyboardInterrupt:  # the usual way to leave
        return 0
    write_error(f"the platform on {data_dir} has stopped")
    return 3


@contextmanager
def _shown(*, as_json: bool, in_place: bool) -> Iterator[_Show]:
    """Return what shows figures: in place on a terminal, one after another elsewhere."""
    console = make_console()
    if as_json:
        yield _write_json
    elif not in_place:

        def write(figures: TopFigures) -> None:
            console.print(screen(figures), width=min(console.width, _COLUMNS), soft_wrap=False)
            console.print()
            sys.stdout.flush()

        yield write
    else:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            live.update("reading …", refresh=True)
            yield lambda figures: live.update(screen(figures, "q quits"), refresh=True)


def _write_json(figures: TopFigures) -> None:
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document = {"time": time} | figures.to_document()
    sys.stdout.write(printable_json(json.dumps(document, ensure_ascii=False)) + "\n")
    sys.stdout.flush()
