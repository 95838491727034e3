"""`polystream bench`: what the platform does a second, and at what cost, beside the design that it replaces."""

import argparse
import json
import signal
import sys

from cli.arguments import new_file, one_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--engines",
        type=one_of("embedded", "native"),
        metavar="SET",
        default="embedded",
        help="the broker: embedded, from pip alone, or native, which is Apache Kafka; KAFKA_BOOTSTRAP_SERVERS, where "
        "it is set, names another one, which must be empty",
    )
    parser.add_argument("--short", action="store_true", help="a minute or two, and the main subjects only")
    parser.add_argument(
        "--json", type=new_file, metavar="FILE", help="write every figure to FILE, - for standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure: 0 when it was done, 1 when it could not be."""
    from cli.bench.load import LoadError  # noqa: PLC0415 - --help comes without them
    from cli.bench.report import print_report  # noqa: PLC0415
    from cli.bench.rounds import LONG, SHORT  # noqa: PLC0415
    from cli.bench.run import run_bench  # noqa: PLC0415
    from cli.console import make_console  # noqa: PLC0415

    to_stdout = str(arguments.json) == "-"
    console = make_console(stderr=to_stdout)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped then, too
    try:
        with console.status("") as status:
            report = run_bench(
                SHORT if arguments.short else LONG,
                status.update,
                native_kafka=arguments.engines == "native",
                all_subjects=not arguments.short,
            )
    except LoadError as error:
        console.print(str(error), markup=False)
        return 1
    text = json.dumps(report, indent=2) + "\n"
    if to_stdout:
        sys.stdout.write(text)
    elif arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    print_report(report, console)
    return 0
