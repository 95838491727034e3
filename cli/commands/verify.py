"""`polystream verify`: a platform of its own under load and faults, and the check of all that it has promised."""

import argparse
import json
import random
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from cli.arguments import new_file, one_of, whole_number

if TYPE_CHECKING:
    from rich.console import Console

_SEED_MAX: Final = 999_999_999
_COMMANDS: Final = (10, 100_000)
_DURATION_S: Final = (5, 86_400)
_LANES_MAX: Final = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--engines",
        type=one_of("embedded", "native"),
        metavar="SET",
        default="embedded",
        help="embedded: from pip alone, the default; native: real engines as processes",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, _SEED_MAX),
        metavar="N",
        help="plan the commands and the faults of an earlier run again; a new plan without it",
    )
    parser.add_argument(
        "--commands",
        type=whole_number(*_COMMANDS),
        default=3000,
        metavar="N",
        help="send so many commands (default: %(default)s)",
    )
    parser.add_argument(
        "--duration-s",
        type=whole_number(*_DURATION_S),
        default=150,
        metavar="S",
        help="spread them over so many seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--faults",
        default="all",
        metavar="LIST",
        help="inject these, separated by commas; or `all`, the default, or `none`; `list` names them",
    )
    parser.add_argument(
        "--lanes",
        type=whole_number(1, _LANES_MAX),
        default=1,
        metavar="N",
        help="run N lane processes for each store (default: %(default)s)",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the report to FILE, - for standard output")


def run(arguments: argparse.Namespace) -> int:
    """Verify: 0 when every promise was kept, 1 when one was not, 2 when the run could not be made."""
    from cli.console import make_console  # noqa: PLC0415 - --help comes without them
    from cli.verify.faults import FAULTS, kinds_for  # noqa: PLC0415
    from cli.verify.options import RunOptions  # noqa: PLC0415
    from cli.verify.platform import VerifyError  # noqa: PLC0415
    from cli.verify.report import print_report  # noqa: PLC0415
    from cli.verify.run import run_verify  # noqa: PLC0415

    to_stdout = str(arguments.json) == "-"
    console = make_console(stderr=to_stdout)
    if arguments.faults == "list":
        for name, kind in FAULTS.items():
            obstacle = kind.obstacle()
            not_here = f"; not here: {obstacle}" if obstacle else ""
            console.print(f"{name} ({', '.join(kind.engine_sets)}{not_here})", markup=False)
        return 0
    try:
        obstacles = {name: kind.obstacle() for name, kind in FAULTS.items()}
        faults = _chosen(arguments.faults, kinds_for(arguments.engines), obstacles)
    except ValueError as error:
        console.print(f"--faults: {error}", markup=False)
        return 2
    # Not from the clock: two runs that begin together have different ones.
    seed = random.SystemRandom().randrange(_SEED_MAX) if arguments.seed is None else arguments.seed
    options = RunOptions(
        seed, arguments.engines, arguments.commands, float(arguments.duration_s), arguments.lanes, faults
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped then, too
    console.print(f"seed {seed}", markup=False)
    try:
        with console.status("") as status:
            progress = status.update if console.is_terminal else _line_by_line(console)
            report = run_verify(options, progress)
    except VerifyError as error:
        console.print(str(error), markup=False)
        return 2
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if to_stdout:
        sys.stdout.write(text)
    elif arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    print_report(report, console)
    return 1 if report["violations"] else 0


def _line_by_line(console: "Console") -> Callable[[str], None]:
    """Return what shows how it goes where no line can be overwritten."""
    return lambda text: console.print(text, markup=False)


def _chosen(text: str, possible: list[str], obstacles: Mapping[str, str]) -> list[str]:
    """Return the faults that a list names. Raises ValueError for one that there is not, or not here.

    `obstacles` are why faults, by name, can't be injected on this machine.
    """
    if text == "none":
        return []
    if text == "all":
        return possible
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in possible]
    if unknown or not names:
        obstacle = obstacles.get(unknown[0], "") if unknown else ""
        if obstacle:
            raise ValueError(f"{unknown[0]} is not possible here: {obstacle}")
        what = f"{unknown[0]!r} is none of these engines'" if unknown else "it names none"
        raise ValueError(f"{what}; there are {', '.join(possible)}")
    return list(dict.fromkeys(names))
