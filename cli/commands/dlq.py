"""`polystream dlq list|show|redrive`: the dead letters, and sending them again."""

import argparse
import json
import operator
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import compress
from typing import Any, Final

from cli.dead_letters import describe, describe_redriven, show_case, show_cases, show_end, show_plan, show_redriven
from cli.platform import add_data_dir
from cli.reach import NothingRunsError, settings_for
from mesh.catalog import load_catalog
from mesh.codec import read_record
from mesh.dead_letters.dead_letter import Place
from mesh.dead_letters.reader import Box, Case, open_box
from mesh.dead_letters.redrive import Redriven, Redriver
from mesh.dead_letters.redrive_status import Standing
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
    listing = actions.add_parser("list", help="show the dead letters and how they stand")
    _add_filters(listing)
    standings = [standing.value for standing in Standing]
    listing.add_argument("--standing", choices=standings, metavar="S", help=f"only those: {', '.join(standings)}")
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="show one dead letter")
    showing.add_argument("letter", type=_place, metavar="PARTITION:OFFSET")
    showing.add_argument("--payload", action="store_true", help="the command's fields too: they may hold personal data")
    showing.set_defaults(act=_show)
    redriving = actions.add_parser("redrive", help="send commands again, once the cause is mended")
    redriving.add_argument("letters", type=_place, nargs="*", metavar="PARTITION:OFFSET")
    redriving.add_argument(
        "--all", action="store_true", help="every letter that waits, or those that the filters leave"
    )
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
        os.environ.update(settings_for(arguments.data_dir))
        return act(arguments)
    except (_UsageError, NothingRunsError, TopicError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
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
        box = open_box(reader, load_catalog().commands)
    cases = [case for case in _filtered(box.cases, arguments) if arguments.standing in {None, case.standing.value}]
    if arguments.json:
        _write_json({"letters": [describe(case) for case in cases], "left_out": box.left_out})
    else:
        show_cases(cases, box.left_out)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with TopicReader(KafkaSettings()) as reader:
        case = _find(open_box(reader, load_catalog().commands), arguments.letter)
    payload = _payload(case) if arguments.payload else None
    if arguments.json:
        _write_json(describe(case) | ({} if payload is None else {"payload": payload}))
    else:
        show_case(case, payload)
    return 0


def _redrive(arguments: argparse.Namespace) -> int:
    if bool(arguments.letters) == arguments.all:
        raise _UsageError("say which letters, by PARTITION:OFFSET, or --all for every one that waits")
    if arguments.letters and (arguments.reason or arguments.command):
        raise _UsageError("--reason and --command choose among --all: leave them out where letters are named")
    commands = load_catalog().commands
    with TopicReader(KafkaSettings()) as reader, closing(RegistryClient(RegistrySettings())) as registry:
        sent, kept = _choose(open_box(reader, commands), arguments)
        if arguments.dry_run:
            _tell_plan(sent, kept, as_json=arguments.json)
            return 0
        redriver = Redriver(KafkaSettings(), reader, registry, commands)
        letters = [case.letter for case in sent]
        done: list[Redriven] = []
        for batch in redriver.run(letters, wait_s=arguments.wait_s, keep_going=arguments.keep_going):
            done += batch
            if not arguments.json:
                show_redriven(batch)
    reached = {redriven.letter.correlation_id for redriven in done}
    unsent = [case for case in sent if case.letter.correlation_id not in reached]
    if arguments.json:
        _write_json(
            {
                "redriven": [describe_redriven(redriven) for redriven in done],
                "unsent": [describe(case) for case in unsent],
                "kept": [describe(case) for case in kept],
            }
        )
    else:
        show_plan([], kept)
        show_end(len(done), len(unsent))
    is_done = not unsent and not kept and all(redriven.outcome.is_answer for redriven in done)
    return 0 if is_done else 1


def _choose(box: Box, arguments: argparse.Namespace) -> tuple[list[Case], list[Case]]:
    """Return the cases that are sent again, and those that were asked for and are not sent."""
    if arguments.all:
        # Of all that there are, those that never will be sent again were not asked for.
        cases = [case for case in _filtered(box.cases, arguments) if case.standing.may_be_sent(force=True)]
    else:
        cases = [_find(box, place) for place in arguments.letters]
    is_sent = [case.standing.may_be_sent(force=arguments.force) for case in cases]
    return list(compress(cases, is_sent)), list(compress(cases, map(operator.not_, is_sent)))


def _filtered(cases: Sequence[Case], arguments: argparse.Namespace) -> list[Case]:
    return [
        case
        for case in cases
        if arguments.reason in {None, case.letter.reason} and arguments.command in {None, case.letter.command}
    ]


def _find(box: Box, place: Place) -> Case:
    for case in box.cases:
        if case.letter.place == place:
            return case
    raise _UsageError(f"there is no dead letter {place}: `dlq list` shows those that there are")


def _tell_plan(sent: Sequence[Case], kept: Sequence[Case], *, as_json: bool) -> None:
    if as_json:
        _write_json({"would_send": list(map(describe, sent)), "kept": list(map(describe, kept))})
    else:
        show_plan(sent, kept)


def _payload(case: Case) -> object:
    """Return the record as its own schema reads it."""
    with closing(RegistryClient(RegistrySettings())) as registry:
        try:
            return read_record(case.letter.value, registry)
        except PolystreamError as error:
            raise _UsageError(f"the record can't be read: {error.message}") from error


def _write_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
