"""Compares the stores with each other and with Kafka, and repairs: `python -m processor.integrity check|repair`.

It reads its settings from the environment, as a lane does. `polystream integrity` runs it on a platform.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from cli.integrity_report import describe_drift, describe_repair, show_drift, show_repair
from mesh import topics
from mesh.catalog import Catalog, load_catalog
from mesh.dead_letters.reader import Case, read_letters
from mesh.dead_letters.redrive import Redriven, Redriver
from mesh.errors import PolystreamError
from mesh.schemas import RegistryClient
from mesh.settings import (
    KafkaSettings,
    LaneSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
)
from mesh.topic_reader import GroupPosition, TopicError, TopicReader
from processor.bootstrap import lane_group
from processor.integrity.inspectors import MongoSide, PostgresSide, RedisSide
from processor.integrity.lost import Findings, Positions, find_lost
from processor.integrity.orphans import LanesBehindError, Orphans, erase_orphans, find_orphans, wait_for_lanes

_ANSWER_WAIT_S = 30.0


class Inspection:
    """Everything that is looked at."""

    def __init__(self, catalog: Catalog, stack: ExitStack) -> None:
        self.catalog = catalog
        self.kafka = KafkaSettings()
        self.reader = stack.enter_context(TopicReader(self.kafka))
        self.postgresql = PostgresSide(PostgresSettings())
        stack.callback(self.postgresql.close)
        self.others = (MongoSide(MongoSettings()), RedisSide(RedisSettings()))
        for side in self.others:
            stack.callback(side.close)
        self._lanes = {
            side.name: stack.enter_context(GroupPosition(self.kafka, lane_group(side.name)))
            for side in (self.postgresql, *self.others)
        }

    def lost(self) -> Findings:
        """Return what stores have lost. Raises TopicError and PolystreamError."""
        letters, _ = read_letters(self.reader)
        sides = (self.postgresql, *self.others)
        memory_s = LaneSettings().marker_ttl_s
        return find_lost(
            self.reader, self.catalog.commands, self.positions(), sides, letters=letters, memory_s=memory_s
        )

    def orphans(self) -> list[Orphans]:
        """Return what is left of users who are gone. Raises TopicError, PolystreamError and LanesBehindError."""
        return find_orphans(self.postgresql, self.others, self._lanes_catch_up)

    def positions(self) -> Positions:
        """Return how far each lane has come."""
        partitions = list(self.reader.extents(topics.COMMANDS))
        return {store: lane.committed(topics.COMMANDS, partitions) for store, lane in self._lanes.items()}

    def _lanes_catch_up(self) -> None:
        wait_for_lanes(self.reader.ends(topics.COMMANDS), self.positions)


def check(as_json: bool) -> int:
    """Say what is wrong: 0 when nothing is, 1 when something is."""
    with _inspection() as inspection:
        findings, orphans = inspection.lost(), inspection.orphans()
    if as_json:
        _write_json(describe_drift(findings, orphans))
    else:
        show_drift(findings, orphans)
    return 1 if findings.lost or orphans else 0


def repair(*, erases: bool, force: bool, as_json: bool) -> int:
    """Send again what was lost, and erase orphans if that was asked for: 0 when nothing is left, 1 when something is.

    What PostgreSQL has lost may be users: as long as some of that is missing, nothing is erased.
    """
    with _inspection() as inspection:
        findings, orphans, erased = inspection.lost(), inspection.orphans(), 0
        redriven = _send_again(inspection, findings.lost, force=force)
        sent = {one.letter.correlation_id for one in redriven if one.outcome.is_answer}
        left = [case for case in findings.lost if case.letter.correlation_id not in sent]
        if redriven:
            orphans = inspection.orphans()
        if erases and findings.is_whole and not any(case.letter.store == "POSTGRESQL" for case in left):
            erased = erase_orphans(inspection.postgresql, inspection.others, orphans)
            orphans = inspection.orphans()
    if as_json:
        _write_json(describe_repair(redriven, left, erased, orphans))
    else:
        show_repair(redriven, left, erased, orphans)
    return 0 if not left and not orphans and findings.is_whole else 1


def _send_again(inspection: Inspection, lost: Sequence[Case], *, force: bool) -> list[Redriven]:
    letters = [case.letter for case in lost if case.standing.may_be_sent(force=force)]
    if not letters:
        return []
    with closing(RegistryClient(RegistrySettings())) as registry:
        redriver = Redriver(inspection.kafka, inspection.reader, registry, inspection.catalog.commands)
        return [one for batch in redriver.run(letters, wait_s=_ANSWER_WAIT_S, keep_going=False) for one in batch]


@contextmanager
def _inspection() -> Iterator[Inspection]:
    with ExitStack() as stack:
        yield Inspection(load_catalog(), stack)


def _write_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments, and do it; 2 when it can't be done."""
    parser = argparse.ArgumentParser(prog="polystream integrity", allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    checking = actions.add_parser("check", help="say what a store has lost, or has left over")
    repairing = actions.add_parser("repair", help="send lost commands again")
    repairing.add_argument("--force", action="store_true", help="those too that later commands have overtaken")
    repairing.add_argument(
        "--erase-orphans", action="store_true", help="delete what is there of users who are not in PostgreSQL"
    )
    for action in (checking, repairing):
        action.add_argument("--json", action="store_true", help="write JSON")
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "check":
            return check(arguments.json)
        return repair(erases=arguments.erase_orphans, force=arguments.force, as_json=arguments.json)
    except (TopicError, LanesBehindError) as error:
        sys.stderr.write(f"{error}\n")
    except PolystreamError as error:
        details = ", ".join(f"{name}: {value}" for name, value in error.metadata.items())
        sys.stderr.write(f"{error.message} ({details})\n" if details else f"{error.message}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
