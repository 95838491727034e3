"""PostgreSQL's back door: its marks, rows and positions, as a check reads them and a repair sets them right."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import psycopg
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.payments_pb2 import Payment
from polystream.v1.preferences_pb2 import Preferences
from polystream.v1.subscriptions_pb2 import Subscription
from polystream.v1.users_pb2 import User

from mesh.settings import PostgresSettings
from mesh.stored_enums import PAYMENT_METHODS, PAYMENT_STATES, PLANS, SUBSCRIPTION_STATES, THEMES
from processor.integrity import postgresql_statements as sql
from processor.integrity.contents import ContentWalk
from processor.integrity.contents_postgresql import table_walks
from processor.integrity.gone import Place
from processor.integrity.kinds import Finding
from processor.integrity.store_errors import under_its_name
from processor.integrity.told_effects import ToldEffect, result_of
from processor.stores.postgresql import store_errors

_STATEMENT_TIMEOUT_MS: Final = 20_000
_FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"
_NANOS_A_CENT: Final = 10_000_000
_OTHER_STATES: Final = ("ativa", "cancelada", "expirada")

Row = tuple[Any, ...]


class PostgresDoor:
    """PostgreSQL. Its methods raise PolystreamError with STORE_UNAVAILABLE."""

    name = "POSTGRESQL"

    def __init__(self, settings: PostgresSettings) -> None:
        with under_its_name(self.name, store_errors):
            self._connection = psycopg.connect(
                settings.dsn,
                autocommit=True,
                application_name="polystream-integrity",
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
            )
        self.walks: Sequence[ContentWalk] = table_walks(self._connection)

    def mark_page(self, after: Any, marks_max: int) -> tuple[Sequence[CommandReceipt], Any]:
        """Return the receipts of some rows of the inbox, and where the next page begins."""
        with self._errors():
            rows = self._connection.execute(sql.MARKS, (after or _FIRST_ID, marks_max)).fetchall()
        receipts = [CommandReceipt.FromString(receipt) for _, receipt in rows]
        return receipts, rows[-1][0] if len(rows) == marks_max else None

    def absent(self, effects: Sequence[ToldEffect]) -> set[Place]:
        """Return the rows that are not there; of preferences, and of users, by the user."""
        place = effects[0].place
        wanted = {int(effect.key) for effect in effects}
        with self._errors():
            found = self._connection.execute(sql.PRESENT[place], (sorted(wanted),)).fetchall()
        return {(place, str(key)) for key in wanted.difference(row[0] for row in found)}

    def holds(self, receipt: CommandReceipt) -> bool:
        """Whether the very user is there that a receipt tells of."""
        result = result_of(receipt)
        if not isinstance(result, User) or receipt.command != "CreateUser":
            return False  # a change may be there or not: the row does not say
        with self._errors():
            row = (result.user_id, _moment(result.create_time))
            return self._connection.execute(sql.STILL_THERE, row).fetchone() is not None

    def key_of_marks(self, place: str, key: str) -> str:
        """Return the key that marks have of a row with an ID."""
        with self._errors():
            found = self._connection.execute(sql.MARKED_KEY[place], (int(key),)).fetchone()
        return str(found[0]) if found else key

    def put(self, finding: Finding, user: Row | None = None, *, is_dry: bool = False) -> bool:
        """Put a row back that is gone; `user` is what the log tells of one. Return whether it is there, or would be.

        Lanes wait meanwhile: a DeleteUser that comes before is seen, and one that comes after deletes the row.
        """
        with self._errors(), self._connection.transaction(force_rollback=is_dry):
            self._connection.execute(sql.HOLD_LANES)
            last = finding.receipts[-1]
            row = user if finding.place == "usuarios" else self._row(last)
            if row is None or self._is_erased(last):
                return False
            self._connection.execute(sql.PUT[finding.place], row)
            found = self._connection.execute(sql.PRESENT[finding.place], ([int(finding.key)],)).fetchone()
        return found is not None

    def mend(self, finding: Finding, user: Row | None = None, *, is_dry: bool = False) -> bool:
        """Give a row the content back that its hash tells of. Return whether any was found that does."""
        with self._errors(), self._connection.transaction(force_rollback=is_dry):
            for row in self._may_have_been(finding, user):
                if self._connection.execute(sql.MEND[finding.place], row).rowcount:
                    return True
        return False

    def accept(self, finding: Finding) -> None:
        """Take a row as it is: it gets the hash of what it holds."""
        with self._errors():
            self._connection.execute(sql.ACCEPT[finding.place], (int(finding.key),))

    def mark(self, receipts: Sequence[CommandReceipt]) -> None:
        """Put the marks of commands back that were applied."""
        with self._errors():
            for receipt in receipts:
                mark = (receipt.correlation_id, receipt.command, receipt.SerializeToString())
                self._connection.execute(sql.MARK, mark)

    def erased_again(self, receipts: Sequence[CommandReceipt]) -> list[CommandReceipt]:
        """Return of DeleteUser's marks those whose user is there all the same."""
        found = []
        with self._errors():
            for receipt in receipts:
                result = result_of(receipt)
                if receipt.command == "DeleteUser" and isinstance(result, User):
                    row = (result.user_id, _moment(result.create_time))
                    if self._connection.execute(sql.STILL_THERE, row).fetchone():
                        found.append(receipt)
        return found

    def erase(self, finding: Finding) -> None:
        """Erase a person who was erased before, and everything that is theirs."""
        result = result_of(finding.receipts[-1])
        if isinstance(result, User):
            with self._errors():
                self._connection.execute(sql.ERASE_AGAIN, (result.user_id, _moment(result.create_time)))

    def positions(self, topic_id: str) -> Mapping[int, int]:
        """Return how far the store says that it has come."""
        with self._errors():
            return dict(self._connection.execute(sql.POSITIONS, (topic_id,)).fetchall())

    def set_position(self, topic_id: str, partition: int, offset: int) -> None:
        """Say how far it has come."""
        with self._errors():
            self._connection.execute(sql.SET_POSITION, (topic_id, partition, offset))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with under_its_name(self.name, store_errors):
            yield

    def _is_erased(self, receipt: CommandReceipt) -> bool:
        since = _moment(receipt.complete_time)
        for (content,) in self._connection.execute(sql.ERASURES, (since,)).fetchall():
            erasure = result_of(CommandReceipt.FromString(content))
            if isinstance(erasure, User) and erasure.user_id == receipt.user_id:
                return True
        return False

    def _row(self, receipt: CommandReceipt) -> Row | None:
        """Return the row that a mark tells of. What a later subscription has ended, its mark does not say."""
        result = result_of(receipt)
        row = None if result is None else row_of(result)
        if isinstance(result, Subscription) and row is not None and row[-1] == "ativa":
            start, end = row[3], row[4]
            later = self._connection.execute(sql.LATER_SUBSCRIPTION, (result.user_id, start)).fetchone()
            if later is not None and later[0] is not None:
                row = (*row[:4], min(later[0], end), "expirada" if end <= later[0] else "cancelada")
            elif end <= datetime.now(UTC):
                row = (*row[:5], "expirada")
        return row

    def _may_have_been(self, finding: Finding, user: Row | None) -> Iterator[Row]:
        """Yield what a row may have held, with its ID first: the hash says which it was."""
        id_ = int(finding.key)
        if user is not None:
            yield (id_, *user)
        for receipt in reversed(finding.receipts):
            result = result_of(receipt)
            row = None if result is None or isinstance(result, User) else row_of(result)
            if row is None:
                continue
            if not isinstance(result, Subscription):
                yield row if isinstance(result, Payment) else (id_, *row)
                continue
            now = self._connection.execute(sql.CURRENT_ENDS, (id_,)).fetchone() or (row[4], row[5])
            for end in (row[4], now[0]):
                yield from ((*row[:4], end, state) for state in _OTHER_STATES)


def row_of(result: Message) -> Row | None:
    """Return the columns of the row that a result tells of, in the order of the statements."""
    match result:
        case Payment():
            cents = result.amount.units * 100 + result.amount.nanos // _NANOS_A_CENT
            state = PAYMENT_STATES.text(result.state)
            method, paid = PAYMENT_METHODS.text(result.method), _moment(result.pay_time)
            return (result.payment_id, result.user_id, Decimal(cents) / 100, method, state, paid)
        case Subscription():
            state = SUBSCRIPTION_STATES.text(result.state)
            start, end = _moment(result.start_time), _moment(result.end_time)
            return (result.subscription_id, result.user_id, PLANS.text(result.plan), start, end, state)
        case Preferences():
            theme, updated = THEMES.text(result.theme), _moment(result.update_time)
            return (result.user_id, result.language, result.notifications, theme, updated)
    return None


def _moment(time: Timestamp) -> datetime:
    return time.ToDatetime(UTC)
