"""Compatibility levels, judged by Apache Avro's own rules.

Two known weaknesses of `avro.compatibility` are met here or in `canonical`:

- It compares a reader's aliases as they are written, without their namespace. Canonical texts hold full names.
- Inside a recursive schema it takes a pair under judgement for compatible and keeps what it concluded from that,
  even where the pair turns out incompatible. `_problems` judges again, with the refuted pairs known, until
  nothing new is refuted.
"""

import warnings
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import Schema, parse

from registry.canonical import InvalidSchemaError

_MAX_PARSED = 256  # schemas kept parsed


class Level(StrEnum):
    """What a new version owes to the versions before it."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def transitive(self) -> bool:
        """Whether every earlier version counts, not the latest alone."""
        return self.value.endswith("_TRANSITIVE")

    @property
    def reads_old(self) -> bool:
        """Whether readers of the new version must read what was written before."""
        return self.value.startswith(("BACKWARD", "FULL"))

    @property
    def read_by_old(self) -> bool:
        """Whether readers of the earlier versions must read what is written from now on."""
        return self.value.startswith(("FORWARD", "FULL"))


def broken_promises(level: Level, candidate: str, earlier: Sequence[tuple[int, str]]) -> list[str]:
    """Return what the candidate breaks, a sentence each; empty when it is compatible.

    `candidate` and the texts of `earlier` (version and text, oldest first) are canonical.
    Raises InvalidSchemaError when the schemas are too entangled to be judged.
    """
    judged = earlier if level.transitive else earlier[-1:]
    reasons: list[str] = []
    try:
        new = _parsed(candidate)
        for version, text in judged:
            old = _parsed(text)
            if level.reads_old:
                reasons += [f"the new schema cannot read version {version}: {p}" for p in _problems(new, old)]
            if level.read_by_old:
                reasons += [f"version {version} cannot read the new schema: {p}" for p in _problems(old, new)]
    except RecursionError as error:
        raise InvalidSchemaError("nested too deep to be compared") from error
    return reasons


def check_readable(candidate: str) -> None:
    """Raise InvalidSchemaError when Apache's parser does not take a canonical text."""
    _parsed(candidate)


@lru_cache(maxsize=_MAX_PARSED)
def _parsed(canonical: str) -> Schema:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown logical type is no error: Avro ignores it
            return parse(canonical)
    except AvroException as error:
        raise InvalidSchemaError(str(error)) from error


def _problems(reader: Schema, writer: Schema) -> list[str]:
    refuted: dict[object, object] = {}
    while True:
        checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
        checker.memoize_map = dict(refuted)
        result = checker.get_compatibility(reader, writer)
        if result.compatibility is SchemaCompatibilityType.incompatible:
            kinds = sorted({kind.name.upper() for kind in result.incompatibilities})
            where = ", ".join(sorted(result.locations))
            return [f"{', '.join(kinds)} at {where}: {', '.join(sorted(result.messages))}"]
        found = {
            pair: judgement
            for pair, judgement in checker.memoize_map.items()
            if judgement.compatibility is SchemaCompatibilityType.incompatible
        }
        if len(found) == len(refuted):
            return []
        refuted = found
