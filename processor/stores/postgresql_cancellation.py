"""How CancelSubscription and CancelPayment cancel a user's row in PostgreSQL, or refuse to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from mesh.errors import Reason
from processor.model import Outcome, refuse


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The statement that cancels rows of a table, and the one that finds out why a row was not cancelled.

    Both take two arrays of the same length: user IDs, each of which occurs once, and row IDs.
    """

    cancel: LiteralString  # returns user_id, then what the answer needs, of the rows that it cancels
    find: LiteralString  # returns user_id, whether there is the user, and whether there is the row
    field: str  # of the request: the row's ID
    not_found: Reason
    not_cancelable: Reason

    def run(
        self, user_ids: Sequence[int], row_ids: Sequence[int], db: psycopg.Cursor[Any]
    ) -> tuple[dict[int, tuple[Any, ...]], dict[int, Outcome]]:
        """Cancel the rows that can be cancelled; return what `cancel` returns, and the refusals, by user ID."""
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
