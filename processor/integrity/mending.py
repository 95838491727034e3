"""Sets findings right: each kind from what is authoritative for it, a store's own marks or the log."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt

from processor.integrity.inspectors import UserDataInspector
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.mongodb_door import MongoDoor
from processor.integrity.postgresql_door import PostgresDoor
from processor.integrity.redis_door import RedisDoor
from processor.integrity.user_rows import UserRow

# In this order: what is a user's comes back to the user, and what is checked by a position finds the right one.
_ORDER: Final = (
    DriftKind.POSITION_WRONG,
    DriftKind.ERASED_LEFT,
    DriftKind.ROW_GONE,
    DriftKind.CONTENT_CHANGED,
    DriftKind.SOURCE_DIFFERS,
    DriftKind.RECEIPT_MISSING,
)
_ACCEPTED: Final = "taken as it is"
_UNKNOWN_CONTENT: Final = (
    "cannot be repaired: neither Kafka nor a mark tells what it was; set it right by hand, or look at it, and say "
    "--accept-content to take it as it is"
)
_UNKNOWN_ROW: Final = "cannot be repaired: neither Kafka nor a mark has all of it; restore it from a backup"

UserRows = Callable[[Collection[int]], Mapping[int, UserRow]]


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done about a finding, or would be."""

    finding: Finding
    action: str
    is_done: bool


class Mending:
    """Sets findings right, or says what it would do."""

    def __init__(
        self,
        doors: tuple[PostgresDoor, MongoDoor, RedisDoor],
        inspectors: Sequence[UserDataInspector],
        user_rows: UserRows,
        send_receipts: Callable[[Sequence[CommandReceipt]], None],
        topic_id: Callable[[], str],
    ) -> None:
        self._doors = {door.name: door for door in doors}
        self._others: Mapping[str, MongoDoor | RedisDoor] = {door.name: door for door in doors[1:]}
        self._redis = doors[2]
        self._postgresql = doors[0]
        self._inspectors = {inspector.name: inspector for inspector in inspectors}
        self._user_rows = user_rows
        self._send_receipts = send_receipts
        self._topic_id = topic_id

    def run(self, findings: Sequence[Finding], *, is_dry: bool, accept_content: bool) -> list[Mended]:
        """Set everything right that can be. `accept_content` takes contents as they are that cannot."""
        rows = self._rows_of(findings)
        ordered = sorted(findings, key=lambda one: (_ORDER.index(one.kind), one.store, *_place_order(one)))
        return [self._mend(finding, rows, is_dry=is_dry, accept_content=accept_content) for finding in ordered]

    def _mend(self, finding: Finding, rows: Mapping[str, UserRow], *, is_dry: bool, accept_content: bool) -> Mended:
        row = rows.get(_row_key(finding))
        match finding.kind:
            case DriftKind.ROW_GONE:
                done = self._doors[finding.store].put(finding, row, is_dry=is_dry)
                # What is a user's comes back behind the user, which a dry run has not put back.
                waits = is_dry and not done and finding.store == "POSTGRESQL" and finding.place != "usuarios"
                return Mended(finding, finding.repair if done or waits else _UNKNOWN_ROW, done or waits)
            case DriftKind.CONTENT_CHANGED:
                if self._doors[finding.store].mend(finding, row, is_dry=is_dry):
                    return Mended(finding, finding.repair, is_done=True)
                if not accept_content:
                    return Mended(finding, _UNKNOWN_CONTENT, is_done=False)
                if not is_dry:
                    self._doors[finding.store].accept(finding)
                return Mended(finding, _ACCEPTED, is_done=True)
        if not is_dry:
            self._set_right(finding)
        return Mended(finding, finding.repair, is_done=True)

    def _set_right(self, finding: Finding) -> None:
        match finding.kind:
            case DriftKind.POSITION_WRONG:
                self._doors[finding.store].set_position(self._topic_id(), int(finding.key), finding.position)
            case DriftKind.ERASED_LEFT if finding.store == "POSTGRESQL":
                self._postgresql.erase(finding)
            case DriftKind.ERASED_LEFT:
                self._inspectors[finding.store].erase([int(finding.key)])
            case DriftKind.SOURCE_DIFFERS if finding.place == "usuarios":
                self._others[finding.store].forget_users([int(finding.key)])
            case DriftKind.SOURCE_DIFFERS:
                self._redis.index(finding)
            case DriftKind.RECEIPT_MISSING:
                self._send_receipts(finding.receipts)

    def _rows_of(self, findings: Sequence[Finding]) -> dict[str, UserRow]:
        """Return what the log tells of the users among findings, by what `_row_key` makes of each finding."""
        keys = {_row_key(one) for one in findings} - {""}
        if not keys:
            return {}
        ids = {
            key: int(self._postgresql.key_of_marks("usuarios", key[1:]) if key[0] == "#" else key[1:]) for key in keys
        }
        rows = self._user_rows(set(ids.values()))
        return {key: rows[user_id] for key, user_id in ids.items() if user_id in rows}


def _row_key(finding: Finding) -> str:
    """Return `=` and a user's ID, `#` and the row's where only that is known, or nothing where it is no user's row."""
    if finding.place != "usuarios" or finding.store != "POSTGRESQL":
        return ""
    prefix = {DriftKind.ROW_GONE: "=", DriftKind.CONTENT_CHANGED: "#"}.get(finding.kind, "")
    return prefix and prefix + finding.key


def _place_order(finding: Finding) -> tuple[int, int, str]:
    """Users first. Of subscriptions the newest first: the earlier ones ended when it began."""
    newest_first = -int(finding.key) if finding.place == "assinaturas" else 0
    return (0 if finding.place == "usuarios" else 1, newest_first, f"{finding.place}/{finding.key}")
