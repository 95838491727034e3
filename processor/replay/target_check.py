"""what the validator finds in a target: the same search as of the live stores, of what does not need a lane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh import topics
from processor.integrity.drift_search import DriftSearch
from processor.integrity.inspectors import PostgresInspector
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.orphans import find_orphans
from processor.replay.targets import ReplayTarget


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """What was found in a target."""

    findings: Sequence[Finding]
    unknown: int  # contents without a hash

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, and everything has its hash."""
        return not self.findings and not self.unknown


def check_target(target: ReplayTarget, users: PostgresInspector, topic_id: str, ends: Mapping[int, int]) -> TargetCheck:
    """Search a target for drift. Raises PolystreamError."""
    own = DriftSearch((target.door,), users.existing, _no_lane)
    findings = [*own.contents(), *own.gone(), *own.sources()]
    orphans = find_orphans(users, (target.inspector,), _no_lane)
    findings += [
        Finding(DriftKind.ORPHAN, found.store, "usuarios", str(user_id), "erased", can_repair=False)
        for found in orphans
        for user_id in found.user_ids
    ]
    told = target.door.positions(topic_id)
    findings += [
        Finding(
            DriftKind.POSITION_WRONG, target.door.name, topics.COMMANDS, str(partition), f"set to {end}", position=end
        )
        for partition, end in sorted(ends.items())
        if told.get(partition, 0) != end
    ]
    return TargetCheck(findings, own.unknown)


def _no_lane() -> None:
    """Wait for nothing: no lane writes to a target."""
