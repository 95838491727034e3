"""`polystream dlq list|show|redrive`: the dead letters, and sending them again."""

import argparse
import operator
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import compress
from typing import Any, Final

from cli.dead_letters import describe, describe_redriven, show_end, show_entries, show_entry, show_plan, show_redriven
from cli.folders import add_data_dir
from cli.printable import json_text, write_error
from cli.running import NothingRunsError, take_settings_of
from mesh.catalog import load_catalog
from mesh.codec import read_record
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.dead_letters.reader import DeadLetterEntry, DeadLetterReader
from mesh.dead_letters.redrive import Redriver, RedriveResult
from mesh.dead_letters.redrive_status import RedriveStatus
from mesh.errors import PolystreamError
from mesh.schemas import RegistryClient
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.topic_reader import TopicError, TopicReader

_WAIT_S: Final = 30.0
_WAIT_MAX_S: Final = 3600.0


class _UsageError(Exception):
    """What was asked for can't be done; says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show the dead letters, and whether they may be sent again")
    _add_filters(listing)
    statuses = [status.value for status in RedriveStatus]
    listing.add_argument(
        "--standing", dest="redrive_status", choices=statuses, metavar="S", help=f"only those: {', '.join(statuses)}"
    )
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="show one dead letter")
    showing.add_argument("dead_letter", type=_position, metavar="PARTITION:OFFSET")
    showing.add_argument("--payload", action="store_true", help="the command's fields too: they may hold personal data")
    showing.set_defaults(act=_show)
    redriving = actions.add_parser("redrive", help="send commands again, once the cause is mended")
    redriving.add_argument("dead_letters", type=_position, nargs="*", metavar="PARTITION:OFFSET")
    redriving.add_argument("--all", action="store_true", help="every one that waits, or those that the filters leave")
    _add_filters(redriving)
    redriving.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    redriving.add_argument(
        "--force", action="store_true", help="those too that later commands have overtaken, or that may not be safe"
    )
    redriving.add_argument("--keep-going", action="store_true", help="do not stop when a command is given up again")
    redriving.add_argument(
        "--wait-s", type=_seconds, default=_WAIT_S, metavar="S", help="for a batch's answers (default: %(default)g)"
    )
    redriving.set_defaults(act=_redrive)
    for action in (listing, showing, redriving):
        action.add_argument("--json", action="store_true", help="write JSON")
        add_data_dir(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it: 0 when it is done, 1 when something of what was asked for is left, 2 when it can't be done."""
    act: Callable[[argparse.Namespace], int] = arguments.act
    try:
        take_settings_of(arguments.data_dir)
        return act(arguments)
    except (_UsageError, NothingRunsError, TopicError) as error:
        write_error(error)
        return 2


def _position(text: str) -> RecordPosition:
    try:
        return RecordPosition.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, as `dlq list` shows them") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _WAIT_MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, up to {_WAIT_MAX_S:g}")
    return seconds


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="R", help="only those with this reason, such as HANDLER_FAILED")
    parser.add_argument("--command", metavar="C", help="only those of this command, such as CreateUser")


def _list(arguments: argparse.Namespace) -> int:
    with TopicReader(KafkaSettings()) as reader:
        entries, left_out = DeadLetterReader(reader, load_catalog().commands).read_entries()
    if arguments.redrive_status:
        entries = [entry for entry in entries if entry.redrive_status.value == arguments.redrive_status]
    entries = _filtered(entries, arguments)
    if arguments.json:
        _write_json({"letters": [describe(entry) for entry in entries], "left_out": left_out})
    else:
        show_entries(entries, left_out)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with TopicReader(KafkaSettings()) as reader:
        entries, _ = DeadLetterReader(reader, load_catalog().commands).read_entries()
    entry = _find(entries, arguments.dead_letter)
    payload = _payload(entry) if arguments.payload else None
    if arguments.json:
        _write_json(describe(entry) | ({} if payload is None else {"payload": payload}))
    else:
        show_entry(entry, payload)
    return 0


def _redrive(arguments: argparse.Namespace) -> int:
    if bool(arguments.dead_letters) == arguments.all:
        raise _UsageError("say which dead letters, by PARTITION:OFFSET, or --all for every one that waits")
    if arguments.dead_letters and (arguments.reason or arguments.command):
        raise _UsageError("--reason and --command choose among --all: leave them out where dead letters are named")
    commands = load_catalog().commands
    with TopicReader(KafkaSettings()) as reader, closing(RegistryClient(RegistrySettings())) as registry:
        entries, _ = DeadLetterReader(reader, commands).read_entries()
        sent, kept = _choose(entries, arguments)
        if arguments.dry_run:
            _tell_plan(sent, kept, as_json=arguments.json)
            return 0
        redriver = Redriver(KafkaSettings(), reader, registry, commands)
        dead_letters = [entry.dead_letter for entry in sent]
        done: list[RedriveResult] = []
        for batch in redriver.run(dead_letters, wait_s=arguments.wait_s, keep_going=arguments.keep_going):
            done += batch
            if not arguments.json:
                show_redriven(batch)
    reached = {redriven.dead_letter.correlation_id for redriven in done}
    unsent = [entry for entry in sent if entry.dead_letter.correlation_id not in reached]
    if arguments.json:
        _write_json(
            {
                "redriven": [describe_redriven(redriven) for redriven in done],
                "unsent": [describe(entry) for entry in unsent],
                "kept": [describe(entry) for entry in kept],
            }
        )
    else:
        show_plan([], kept)
        show_end(len(done), len(unsent))
    is_done = not unsent and not kept and all(redriven.outcome.is_answer for redriven in done)
    return 0 if is_done else 1


def _choose(
    entries: Sequence[DeadLetterEntry], arguments: argparse.Namespace
) -> tuple[list[DeadLetterEntry], list[DeadLetterEntry]]:
    """Return the entries that are sent again, and those that were asked for and are not sent."""
    if arguments.all:
        # Of all that there are, those that never will be sent again were not asked for.
        asked = [entry for entry in _filtered(entries, arguments) if entry.redrive_status.may_be_sent(force=True)]
    else:
        asked = [_find(entries, position) for position in arguments.dead_letters]
    is_sent = [entry.redrive_status.may_be_sent(force=arguments.force) for entry in asked]
    return list(compress(asked, is_sent)), list(compress(asked, map(operator.not_, is_sent)))


def _filtered(entries: Sequence[DeadLetterEntry], arguments: argparse.Namespace) -> list[DeadLetterEntry]:
    return [
        entry
        for entry in entries
        if arguments.reason in {None, entry.dead_letter.reason}
        and arguments.command in {None, entry.dead_letter.command}
    ]


def _find(entries: Sequence[DeadLetterEntry], position: RecordPosition) -> DeadLetterEntry:
    for entry in entries:
        if entry.dead_letter.position == position:
            return entry
    raise _UsageError(f"there is no dead letter {position}: `dlq list` shows those that there are")


def _tell_plan(sent: Sequence[DeadLetterEntry], kept: Sequence[DeadLetterEntry], *, as_json: bool) -> None:
    if as_json:
        _write_json({"would_send": list(map(describe, sent)), "kept": list(map(describe, kept))})
    else:
        show_plan(sent, kept)


def _payload(entry: DeadLetterEntry) -> object:
    """Return the record as its own schema reads it."""
    with closing(RegistryClient(RegistrySettings())) as registry:
        try:
            return read_record(entry.dead_letter.value, registry)
        except PolystreamError as error:
            raise _UsageError(f"the record can't be read: {error.message}") from error


def _write_json(document: Any) -> None:
    sys.stdout.write(json_text(document) + "\n")
