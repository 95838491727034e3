"""`polystream dlq list|show|redrive|discard`: what was given up, and having its keys go on."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.dead_letters import (
    describe,
    describe_redriven,
    show_dead_letter,
    show_dead_letters,
    show_empty_plan,
    show_end,
    show_plan,
    show_redriven,
)
from cli.principal import principal_here
from cli.printable import json_text, log_to_stderr, write_error
from cli.running import take_settings_of
from mesh.codec import read_record
from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition
from mesh.dead_letters.redrive import RedriveOrder, RedriveResult
from mesh.envelope import RedriveAction
from mesh.errors import PolystreamError
from mesh.ids import CORRELATION_ID
from mesh.schemas import RegistryClient
from mesh.settings import RegistrySettings
from mesh.topic_reader import TopicError
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus
from processor.dead_letters.settlement import DeadLetterChoice, is_done, read_listing, settle, still_parked

_WAIT_S: Final = 30.0
_WAIT_MAX_S: Final = 3600.0
_USER_MAX: Final = 2**53 - 1
_USER_DIGITS_MAX: Final = len(str(_USER_MAX))


class _UsageError(Exception):
    """What was asked for can't be done; says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show the dead letters, and which ones hold up their key")
    _add_filters(listing)
    statuses = [status.value for status in ParkingStatus]
    listing.add_argument(
        "--standing", dest="status", choices=statuses, metavar="S", help=f"only those: {', '.join(statuses)}"
    )
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="show one dead letter")
    showing.add_argument(
        "entry", type=_name, metavar="DEAD_LETTER", help="PARTITION:OFFSET or correlation ID, as `list` shows them"
    )
    showing.add_argument("--payload", action="store_true", help="the command's fields too: they may hold personal data")
    showing.set_defaults(act=_show)
    redriving = actions.add_parser("redrive", help="try them once more, and then all that waits behind them, in order")
    redriving.add_argument("--keep-going", action="store_true", help="do not stop when a command is given up again")
    redriving.set_defaults(act=_settle, action=RedriveAction.REDRIVE)
    discarding = actions.add_parser("discard", help="give them up for good, and go on with what waits behind them")
    discarding.set_defaults(act=_settle, action=RedriveAction.DISCARD, keep_going=True)
    for action in (redriving, discarding):
        _add_choice(action)
    for action in (listing, showing, redriving, discarding):
        action.add_argument("--json", action="store_true", help="write JSON")
        add_platform_choice(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it: 0 when it is done, 1 when something of what was asked for is left, 2 when it can't be done."""
    act: Callable[[argparse.Namespace], int] = arguments.act
    log_to_stderr()
    try:
        take_settings_of(choose_data_dir(arguments))
        return act(arguments)
    except (_UsageError, NothingRunsError, TopicError) as error:
        write_error(error)
        return 2


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="R", help="only those with this reason, such as HANDLER_FAILED")
    parser.add_argument("--command", metavar="C", help="only those of this command, such as CreateUser")
    parser.add_argument("--user", type=_user, metavar="ID", help="only those of this user")
    parser.add_argument("--since", type=_time, metavar="T", help="only those given up since, such as 2026-11-30T08:00Z")
    parser.add_argument("--until", type=_time, metavar="T", help="only those given up before")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "entries", type=_name, nargs="*", metavar="DEAD_LETTER", help="PARTITION:OFFSET or correlation ID"
    )
    parser.add_argument("--all", action="store_true", help="every one that is parked, or those that the filters leave")
    _add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, in which stores")
    parser.add_argument("--why", default="", metavar="TEXT", help="goes into the event log; no personal data")
    parser.add_argument("--who", default="", metavar="NAME", help="likewise; who runs the command, if it is left out")
    parser.add_argument(
        "--wait-s", type=_seconds, default=_WAIT_S, metavar="S", help="for a batch's answers (default: %(default)g)"
    )


def _name(text: str) -> str:
    try:
        return str(RecordPosition.parse(text))
    except ValueError:
        if CORRELATION_ID.fullmatch(text):
            return text
        message = f"{text!r} is no PARTITION:OFFSET and no correlation ID: `dlq list` shows both"
        raise argparse.ArgumentTypeError(message) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _WAIT_MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, up to {_WAIT_MAX_S:g}")
    return seconds


def _user(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _USER_DIGITS_MAX and 0 < int(text) <= _USER_MAX:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no user's ID: a number from 1 to {_USER_MAX}")


def _time(text: str) -> int:
    """Return a time in milliseconds since the epoch."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, as 2026-11-30T08:00:00Z is one") from None
    return round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)


def _list(arguments: argparse.Namespace) -> int:
    listing = read_listing()
    entries, left_out, silent = _choice(arguments).of(listing.entries), listing.left_out, dict(listing.silent)
    if arguments.json:
        _write_json({"letters": list(map(describe, entries)), "left_out": left_out, "silent_stores": sorted(silent)})
    else:
        show_dead_letters(entries, left_out, silent)
    return 1 if silent else 0


def _show(arguments: argparse.Namespace) -> int:
    entry = _find(read_listing().entries, arguments.entry)[0]
    payload = _payload(entry.dead_letter) if arguments.payload else None
    if arguments.json:
        _write_json(describe(entry) | ({} if payload is None else {"payload": payload}))
    else:
        show_dead_letter(entry, payload)
    return 0


def _settle(arguments: argparse.Namespace) -> int:
    """Redrive or discard."""
    if bool(arguments.entries) == arguments.all:
        raise _UsageError("say which dead letters, by PARTITION:OFFSET or correlation ID, or --all that are parked")
    filters = (arguments.reason, arguments.command, arguments.user, arguments.since, arguments.until)
    if arguments.entries and any(filters):
        raise _UsageError("filters choose among --all: leave them out where dead letters are named")
    listing = read_listing()
    silent = dict(listing.silent)
    if arguments.all:
        asked = [one for one in _choice(arguments).of(listing.entries) if one.status is ParkingStatus.PARKED]
    else:
        asked = [entry for name in arguments.entries for entry in _find(listing.entries, name)]
    chosen = [entry for entry in asked if entry.status is ParkingStatus.PARKED]
    kept = [entry for entry in asked if entry.status is not ParkingStatus.PARKED]
    if arguments.dry_run:
        _tell_plan(chosen, kept, silent, arguments)
        return 0
    done = _run(chosen, arguments)
    reached = {one.dead_letter.correlation_id for one in done}
    unsent = [entry for entry in chosen if entry.dead_letter.correlation_id not in reached]
    parked = still_parked(chosen) if done else []
    if arguments.json:
        key = "discarded" if arguments.action is RedriveAction.DISCARD else "redriven"
        _write_json(
            {
                key: [describe_redriven(one) for one in done],
                "unsent": list(map(describe, unsent)),
                "kept": list(map(describe, kept)),
                "parked": list(map(describe, parked)),
                "silent_stores": sorted(silent),
            }
        )
    else:
        show_plan([], [*kept, *parked], silent, arguments.action)
        show_end(len(done), len(unsent), sum(len(entry.waiting) for entry in chosen))
    is_all = not any((unsent, kept, parked, silent)) and all(is_done(one, arguments.action) for one in done)
    return 0 if is_all else 1


def _run(chosen: Sequence[ListedDeadLetter], arguments: argparse.Namespace) -> list[RedriveResult]:
    order = RedriveOrder(arguments.action, arguments.who or principal_here(), arguments.why)
    done: list[RedriveResult] = []
    for batch in settle(chosen, order, wait_s=arguments.wait_s, keep_going=arguments.keep_going):
        done += batch
        if not arguments.json:
            show_redriven(batch)
    return done


def _choice(arguments: argparse.Namespace) -> DeadLetterChoice:
    """Return which ones the filters leave."""
    status: str | None = getattr(arguments, "status", None)
    return DeadLetterChoice(
        reason=arguments.reason,
        command=arguments.command,
        user_id=arguments.user,
        since_ms=arguments.since,
        until_ms=arguments.until,
        status=ParkingStatus(status) if status else None,
    )


def _find(entries: Sequence[ListedDeadLetter], name: str) -> Sequence[ListedDeadLetter]:
    """Return what somebody means: of a command that several stores have parked, all of them."""
    found = [entry for entry in entries if entry.is_called(name)]
    if not found:
        raise _UsageError(f"there is no dead letter {name}: `dlq list` shows those that there are")
    return [entry for entry in found if entry.status is ParkingStatus.PARKED] or found[:1]


def _tell_plan(
    chosen: Sequence[ListedDeadLetter],
    kept: Sequence[ListedDeadLetter],
    silent: dict[str, str],
    arguments: argparse.Namespace,
) -> None:
    if arguments.json:
        key = "would_discard" if arguments.action is RedriveAction.DISCARD else "would_send"
        plan = {key: list(map(describe, chosen)), "kept": list(map(describe, kept)), "silent_stores": sorted(silent)}
        _write_json(plan)
    else:
        if not chosen and not kept:
            show_empty_plan(arguments.action)
        show_plan(chosen, kept, silent, arguments.action)


def _payload(dead_letter: DeadLetter) -> object:
    """Return the record as its own schema reads it."""
    with closing(RegistryClient(RegistrySettings())) as registry:
        try:
            return read_record(dead_letter.value, registry)
        except PolystreamError as error:
            raise _UsageError(f"the record can't be read: {error.message}") from error


def _write_json(document: Any) -> None:
    sys.stdout.write(json_text(document) + "\n")
