"""`polystream replay`: MongoDB or Redis built anew from PostgreSQL and the log, in another database."""

import argparse
import sys

from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.printable import json_text, log_to_stderr, write_error
from cli.running import take_settings_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--store", required=True, choices=("mongodb", "redis"), help="the store to build anew")
    parser.add_argument("--into", required=True, metavar="URL", help="the database to fill, which is not the live one")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete what the platform has in that database, and nothing else"
    )
    parser.add_argument("--dry-run", action="store_true", help="only count; reach for no target")
    parser.add_argument("--json", action="store_true", help="write JSON")
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it: 0 when it is all there and the validator agrees, 1 when not, 2 when it can't be done.

    The processor does the work: it alone knows how a store is written to.
    """
    from cli.replay_report import describe_replayed, show_replayed  # noqa: PLC0415 - --help comes without the clients
    from mesh.errors import PolystreamError  # noqa: PLC0415 - as above
    from mesh.topic_reader import TopicError  # noqa: PLC0415
    from processor.integrity.orphans import LanesBehindError  # noqa: PLC0415
    from processor.replay.replay import TargetRefusedError, replay  # noqa: PLC0415

    log_to_stderr()
    try:
        take_settings_of(choose_data_dir(arguments))
        done = replay(arguments.store.upper(), arguments.into, overwrite=arguments.overwrite, is_dry=arguments.dry_run)
    except (NothingRunsError, TopicError, LanesBehindError, TargetRefusedError) as error:
        write_error(error)
        return 2
    except PolystreamError as error:
        details = ", ".join(f"{name}: {value}" for name, value in error.metadata.items())
        write_error(f"{error.message} ({details})" if details else error.message)
        return 2
    if arguments.json:
        sys.stdout.write(json_text(describe_replayed(done)) + "\n")
    else:
        show_replayed(done)
    return 0 if done.is_whole else 1
