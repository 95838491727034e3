"""The contract gate: `python -m contracts.check [--against REF]`, from a checkout, without a registry.

The protos are compared with the last release: the newest tag `v*`, REF where one is given, or without both the newest
committed release. The Avro schemas are compared with every release, in both directions, by the registry's own rules.
Each break is told with what to do instead; then the exit status is 1.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.buf import BufError, fill_imports, run_buf
from contracts.presence import RulesError, newly_required
from contracts.releases import ROOT, Contracts, ReleaseError, current, in_git, last_tag, released
from contracts.third_party import ThirdPartyError
from registry.canonical import InvalidSchemaError, canonical_text
from registry.compatibility import Level, broken_promises

_BUF_TIMEOUT_S: Final = 120
_RULES: Final = json.dumps({"version": "v2", "breaking": {"use": ["FILE"]}})
_OURS: Final = "polystream/"

_NEW_FIELD: Final = "add a field of the new kind under a new name and number, and mark this one `deprecated = true`"
_KEEP: Final = "keep it and mark it `deprecated = true`; what takes its place stands beside it, or in polystream.v2"
# What to do instead, by the beginning of a rule's name; the first that fits.
_ADVICE: Final = (
    (
        "FIELD_SAME_NAME",
        "keep the name, which JSON, Avro and REST know the field by; add a field with the new name beside it",
    ),
    (
        "FIELD_NO_DELETE",
        "keep the field and mark it `deprecated = true`: clients send it, and records in Kafka have it",
    ),
    ("FIELD_SAME_", _NEW_FIELD),
    ("FIELD_REQUIRED", "leave the rule out, or give it to a new field: clients of the release do not send this one"),
    ("ENUM_VALUE_NO_DELETE", "keep the value: records in Kafka have it. Stop sending it, and say so in its comment"),
    ("ENUM_VALUE_SAME_", "keep the value as it is, and add one with the new name and number"),
    ("RPC_SAME_", "keep the RPC as it is, and add one of the new form under a new name"),
    ("AVRO_RECORD_NO_DELETE", "keep the command or event: records of it are in Kafka, and have to be read"),
    ("AVRO_NO_DEFAULT", "give the field a default: in a proto, every field but one of a oneof has one"),
    ("AVRO_ENUM", "keep every symbol that was released, and keep the default: unknown symbols are read as it"),
    ("AVRO_", _NEW_FIELD),
    ("", _KEEP),
)
# Apache Avro's kinds of incompatibility, by what they are here.
_AVRO_KINDS: Final = (
    ("READER_FIELD_MISSING_DEFAULT_VALUE", "AVRO_NO_DEFAULT"),
    ("MISSING_ENUM_SYMBOLS", "AVRO_ENUM"),
    ("", "AVRO_TYPE"),
)
_IMPLIED: Final = {"FIELD_SAME_JSON_NAME": "FIELD_SAME_NAME"}  # a rule that says the same as another, at the same place


@dataclass(frozen=True, slots=True)
class Break:
    """One change that clients or records of a release do not survive."""

    rule: str
    where: str  # a file, with the line where it has one
    what: str

    @property
    def instead(self) -> str:
        """What to do instead."""
        return next(advice for beginning, advice in _ADVICE if self.rule.startswith(beginning))


class CheckError(Exception):
    """The comparison cannot be made; the message says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 when something breaks, 2 when it could not be told."""
    parser = argparse.ArgumentParser(prog="python -m contracts.check", description=__doc__)
    parser.add_argument("--against", metavar="REF", help="a commit, branch or tag to compare the protos with")
    arguments = parser.parse_args(argv)
    try:
        found = breaks(ROOT, arguments.against)
    except (CheckError, ReleaseError, BufError, ThirdPartyError) as error:
        print(error, file=sys.stderr)  # noqa: T201 # a command speaks on the terminal
        return 2
    for broken in found:
        print(f"{broken.where}: {broken.what} [{broken.rule}]\n  Instead: {broken.instead}.")  # noqa: T201
    if found:
        print(f"{len(found)} changes break what was released", file=sys.stderr)  # noqa: T201
    else:
        print("the contracts break nothing that was released")  # noqa: T201
    return 1 if found else 0


def breaks(root: Path, against: str | None = None) -> list[Break]:
    """Return what the contracts of a checkout break. Raises CheckError, ReleaseError, BufError or ThirdPartyError."""
    releases = released(root)
    ref = against or last_tag(root)
    if ref:
        releases.append(in_git(ref, root))
    if not releases:
        raise ReleaseError("there is no release to compare with: no tag v*, and nothing below schemas/released")
    return [*proto_breaks(root, releases[-1]), *avro_breaks(current(root).schemas, releases)]


def proto_breaks(root: Path, release: Contracts) -> list[Break]:
    """Return what the protos of a checkout break."""
    fill_imports(root)
    with tempfile.TemporaryDirectory() as folder:
        now, before = Path(folder, "now.binpb"), Path(folder, "before.binpb")
        before.write_bytes(release.descriptors)
        built = ("build", "--path", "proto/polystream", "--as-file-descriptor-set", "-o", str(now))
        run_buf(root, *built, timeout_s=_BUF_TIMEOUT_S)
        told = run_buf(
            root,
            *("breaking", str(now), "--against", str(before), "--config", _RULES, "--error-format", "json"),
            timeout_s=_BUF_TIMEOUT_S,
            may_find=True,
        )
        found = [json.loads(line) for line in told.splitlines()]
        broken = list(_told_by_buf(found))
        try:
            required = list(newly_required(before.read_bytes(), now.read_bytes(), _OURS))
        except RulesError as error:
            # A rule that names a field under its old name follows from what is told already.
            if not broken:
                raise CheckError(str(error)) from error
            required = []
    return [*broken, *(Break("FIELD_REQUIRED", file, what) for file, what in required)]


def avro_breaks(schemas: dict[str, str], releases: Sequence[Contracts]) -> list[Break]:
    """Return what Avro schemas break of any release, in either direction: a record, once for each different schema."""
    found: dict[tuple[str, str], list[Break]] = {}
    for release in reversed(releases):
        for record, text in release.schemas.items():
            if (record, text) not in found:
                found[record, text] = list(_record_breaks(record, schemas.get(record), text, release.name))
    return [broken for of_record in found.values() for broken in of_record]


def _told_by_buf(found: list[dict[str, str]]) -> Iterator[Break]:
    rules = {(told.get("path"), told["start_line"], told["type"]) for told in found}
    for told in found:
        path = told.get("path", "")
        mentioned = path or told["message"].partition('"')[2]
        implied = _IMPLIED.get(told["type"])
        # Other people's files are their own matter; a release has more of them than the protos import.
        if mentioned.startswith(_OURS) and (path, told["start_line"], implied) not in rules:
            where = f"proto/{path}:{told['start_line']}" if path else "proto"
            yield Break(told["type"], where, told["message"].rstrip("."))


def _record_breaks(record: str, now: str | None, before: str, release: str) -> Iterator[Break]:
    where = f"schemas/avro/{record}.avsc"
    if now is None:
        yield Break("AVRO_RECORD_NO_DELETE", where, f"the record {record} of release {release} is gone")
        return
    try:
        promises = broken_promises(Level.FULL_TRANSITIVE, canonical_text(now), [(0, canonical_text(before))])
    except InvalidSchemaError as error:
        raise CheckError(f"{where}: no valid Avro schema: {error}") from error
    for promise in promises:
        rule = next(rule for kind, rule in _AVRO_KINDS if kind in promise)
        yield Break(rule, where, promise.replace("version 0", f"release {release}"))


if __name__ == "__main__":
    sys.exit(main())
