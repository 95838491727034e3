"""What the commands have in common that cancel a row of a user's in PostgreSQL, where it can be cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from mesh.errors import Reason
from processor.model import Outcome, refuse


@dataclass(frozen=True, slots=True)
class Cancellation:
    """How the rows of a table are cancelled, and how it is told why one is not.

    Both statements take two arrays: the users' IDs, each of which occurs once, and the rows'.
    """

    cancel: LiteralString  # returns user_id, then what the answer needs, of the rows that it cancels
    find: LiteralString  # returns user_id, whether there is the user, and whether there is the row
    field: str  # of the request: the row's ID
    not_found: Reason
    not_cancelable: Reason

    def run(
        self, user_ids: Sequence[int], row_ids: Sequence[int], db: psycopg.Cursor[Any]
    ) -> tuple[dict[int, tuple[Any, ...]], dict[int, Outcome]]:
        """Cancel what can be cancelled, and return by user what the statement does of it, and the refusals."""
        db.execute(self.cancel, (list(user_ids), list(row_ids)))
        canceled: dict[int, tuple[Any, ...]] = {row[0]: row[1:] for row in db.fetchall()}
        others = [pair for pair in zip(user_ids, row_ids, strict=True) if pair[0] not in canceled]
        refusals: dict[int, Outcome] = {}
        if others:
            db.execute(self.find, ([user_id for user_id, _ in others], [row_id for _, row_id in others]))
            refusals = {user_id: self._refusal(has_user, has_row) for user_id, has_user, has_row in db.fetchall()}
        return canceled, refusals

    def _refusal(self, has_user: bool, has_row: bool) -> Outcome:
        if not has_user:
            return refuse(Reason.USER_NOT_FOUND, "user_id")
        return refuse(self.not_cancelable if has_row else self.not_found, self.field)
