"""What the stores must hold: a entity's commands, simulated in the order in which they were acknowledged. Pure.

Where the order alone does not decide what a store answers, its answer is taken, if it is one of those that it may give.
That is so for views, recommendations and sessions, which are not in the store of the users: a command that came before
its user was created, or erased, in PostgreSQL may be judged by what PostgreSQL holds by then.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from polystream.v1.contents_pb2 import Content
from polystream.v1.payments_pb2 import Payment
from polystream.v1.preferences_pb2 import Preferences
from polystream.v1.sessions_pb2 import Session
from polystream.v1.subscriptions_pb2 import Subscription

from cli.verify import image
from cli.verify.history import CommandEntry
from cli.verify.image import Image, StoredItem
from cli.verify.workload import cents_of
from mesh.stored_enums import DEVICES, KINDS, PAYMENT_METHODS, PLANS, THEMES, StoredEnum

SUCCEEDED: Final = "SUCCEEDED"
_OK: Final = frozenset({SUCCEEDED})
_NO_USER: Final = frozenset({"USER_NOT_FOUND"})
_UNVERIFIED: Final = "USER_UNVERIFIED"
_USER_WAIT_MAX_S: Final = 60.0  # LANE_USER_WAIT_MAX_S of a platform that was told nothing
_ACTIVE, _CANCELED, _APPROVED, _TAKEN_BACK = "ativa", "cancelada", "aprovado", "estornado"


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An answer of a store's that is not one of those that it may give."""

    entry: CommandEntry
    store: str
    permitted: frozenset[str]
    found: str


@dataclass(slots=True)
class ExpectedItem:
    """What an item must be, and which commands made and changed it."""

    identity: Hashable
    values: tuple[object, ...]
    made_by: str  # correlation ID
    stamp: int = 0  # 0 where it is not known
    past: list[tuple[object, ...]] = field(default_factory=list)  # the values that it had before


@dataclass(slots=True)
class Expected:
    """What the stores must hold of one entity."""

    tables: dict[str, list[ExpectedItem]] = field(default_factory=lambda: {name: [] for name in image.STORE_OF})
    gone: dict[str, list[ExpectedItem]] = field(default_factory=lambda: {name: [] for name in image.STORE_OF})
    erased: set[str] = field(default_factory=set)  # correlation IDs of what DeleteUser took away
    unexpected: list[Unexpected] = field(default_factory=list)


def simulate(entries: Sequence[CommandEntry], found: Image, taken_emails: frozenset[str] = frozenset()) -> Expected:
    """Return what a entity's commands, in their order, must have led to.

    `taken_emails` are addresses of users whom nobody changes or erases.
    """
    simulation = _Simulation(entries, found, taken_emails)
    for position, entry in enumerate(entries):
        simulation.step(position, entry)
    return simulation.expected


class _Simulation:
    """The state of one entity while its commands are gone through."""

    def __init__(self, entries: Sequence[CommandEntry], found: Image, taken_emails: frozenset[str]) -> None:
        self.expected = Expected()
        self._found = found
        self._taken_emails = taken_emails
        self._exists = False
        self._last_create = _last(entries, "CreateUser")
        self._last_delete = _last(entries, "DeleteUser")
        self._rules: Mapping[str, _Rule] = {
            "CreateUser": (self._create_user_may, self._create_user),
            "UpdateUser": (self._update_user_may, self._update_user),
            "DeleteUser": (self._delete_user_may, self._delete_user),
            "UpdatePreferences": (self._needs_user, self._update_preferences),
            "CreateSubscription": (self._needs_user, self._create_subscription),
            "CancelSubscription": (self._cancel_may, self._cancel),
            "CreatePayment": (self._needs_user, self._create_payment),
            "CancelPayment": (self._cancel_may, self._cancel),
            "RecordView": (self._checks_user, self._record_view),
            "DeleteView": (self._remove_may, self._remove),
            "GenerateRecommendations": (self._checks_user, self._generate_recommendations),
            "CreateSession": (self._checks_user, self._create_session),
            "UpdateSession": (self._remove_may, self._update_session),
            "DeleteSession": (self._remove_may, self._remove),
            "CacheContent": (lambda *_: _OK, self._cache_content),
            "DeleteContent": (self._remove_may, self._remove),
        }

    def step(self, position: int, entry: CommandEntry) -> None:
        """Apply one command, each store's part by what that store has answered."""
        may, apply = self._rules[entry.command]
        for store in entry.stores:
            permitted = may(position, entry, store)
            outcome = self._found.outcome(entry.correlation_id, store)
            # One that has not answered is told of elsewhere: whatever it was to do is expected here.
            said = str(outcome) if outcome is not None else next(iter(sorted(permitted, reverse=True)))
            if outcome is not None and said not in permitted and not self._is_unverified(entry, said):
                self.expected.unexpected.append(Unexpected(entry, store, permitted, said))
            if said == SUCCEEDED:
                apply(entry, store)

    def _is_unverified(self, entry: CommandEntry, said: str) -> bool:
        """Tell whether a command waited in vain, and long enough, until it could be told whether its user exists."""
        told = self._found.operation(entry.correlation_id)
        checks = entry.command in {"RecordView", "GenerateRecommendations", "CreateSession"}
        return said == _UNVERIFIED and checks and told is not None and told.took_s >= _USER_WAIT_MAX_S

    # What a store may answer.

    def _create_user_may(self, _position: int, _entry: CommandEntry, _store: str) -> frozenset[str]:
        return frozenset({"USER_ALREADY_EXISTS"}) if self._exists else _OK

    def _update_user_may(self, position: int, entry: CommandEntry, store: str) -> frozenset[str]:
        if self._exists and entry.fields.get("email") in self._taken_emails:
            return frozenset({"EMAIL_ALREADY_EXISTS"})
        return self._needs_user(position, entry, store)

    def _delete_user_may(self, position: int, entry: CommandEntry, store: str) -> frozenset[str]:
        return self._needs_user(position, entry, store) if store == "POSTGRESQL" else _OK

    def _needs_user(self, _position: int, _entry: CommandEntry, _store: str) -> frozenset[str]:
        return _OK if self._exists else _NO_USER

    def _checks_user(self, position: int, _entry: CommandEntry, _store: str) -> frozenset[str]:
        follows = self._last_delete if self._exists else self._last_create
        permitted = _OK if self._exists else _NO_USER
        return permitted | _OK | _NO_USER if follows > position else permitted

    def _cancel_may(self, _position: int, entry: CommandEntry, _store: str) -> frozenset[str]:
        is_payment = entry.command == "CancelPayment"
        if not self._exists:
            return _NO_USER
        item = self._named(entry)
        if item is None:
            return frozenset({"PAYMENT_NOT_FOUND" if is_payment else "SUBSCRIPTION_NOT_FOUND"})
        if item.values[-1] not in {_ACTIVE, _APPROVED}:
            return frozenset({"PAYMENT_NOT_APPROVED" if is_payment else "SUBSCRIPTION_NOT_ACTIVE"})
        return _OK

    def _remove_may(self, _position: int, entry: CommandEntry, _store: str) -> frozenset[str]:
        if self._named(entry) is not None:
            return _OK
        what = {"DeleteView": "VIEW", "DeleteContent": "CONTENT"}.get(entry.command, "SESSION")
        return frozenset({f"{what}_NOT_FOUND"})

    # What a store does.

    def _create_user(self, entry: CommandEntry, _store: str) -> None:
        self._exists = True
        fields = entry.fields
        self._add(image.USERS, entry, entry.entity, (fields["name"], fields["email"], fields["cpf"]))

    def _update_user(self, entry: CommandEntry, _store: str) -> None:
        for item in self.expected.tables[image.USERS]:
            name, email, cpf = item.values
            _change(item, (entry.fields.get("name", name), entry.fields.get("email", email), cpf))

    def _delete_user(self, entry: CommandEntry, store: str) -> None:
        del entry
        if store == "POSTGRESQL":
            self._exists = False
        for name, of_store in image.STORE_OF.items():
            if of_store == store:
                for item in list(self.expected.tables[name]):
                    self._take(name, item)
                    self.expected.erased.add(item.made_by)

    def _update_preferences(self, entry: CommandEntry, _store: str) -> None:
        fields = entry.fields
        items = self.expected.tables[image.PREFERENCES]
        language, notifications, theme = items[0].values if items else ("pt-BR", True, "sistema")
        values = (
            fields.get("language", language),
            fields.get("notifications", notifications),
            _stored(THEMES, Preferences.Theme, fields["theme"]) if "theme" in fields else theme,
        )
        if items:
            _change(items[0], values)
            items[0].stamp = self._found.stamp(entry.correlation_id)
        else:
            self._add(image.PREFERENCES, entry, entry.entity, values)

    def _create_subscription(self, entry: CommandEntry, _store: str) -> None:
        for item in self.expected.tables[image.SUBSCRIPTIONS]:
            if item.values[-1] == _ACTIVE:
                _change(item, (*item.values[:-1], _CANCELED))
        plan = _stored(PLANS, Subscription.Plan, entry.fields["plan"])
        self._add(image.SUBSCRIPTIONS, entry, self._found.stamp(entry.correlation_id), (plan, _ACTIVE))

    def _create_payment(self, entry: CommandEntry, _store: str) -> None:
        method = _stored(PAYMENT_METHODS, Payment.Method, entry.fields["method"])
        self._add(image.PAYMENTS, entry, cents_of(entry.fields["amount"]), (method, _APPROVED))

    def _cancel(self, entry: CommandEntry, _store: str) -> None:
        item = self._named(entry)
        if item is not None:
            _change(item, (*item.values[:-1], _TAKEN_BACK if entry.command == "CancelPayment" else _CANCELED))

    def _record_view(self, entry: CommandEntry, _store: str) -> None:
        values = (int(entry.fields["content_id"]), entry.fields["title"])
        self._add(image.VIEWS, entry, entry.correlation_id, values)

    def _generate_recommendations(self, entry: CommandEntry, _store: str) -> None:
        self._add(image.RECOMMENDATIONS, entry, entry.correlation_id, ())

    def _create_session(self, entry: CommandEntry, _store: str) -> None:
        device = _stored(DEVICES, Session.Device, entry.fields["device"])
        self._add(image.SESSIONS, entry, entry.correlation_id, (device, "indexed"))

    def _update_session(self, entry: CommandEntry, _store: str) -> None:
        item = self._named(entry)
        if item is not None:
            item.stamp = self._found.stamp(entry.correlation_id)

    def _cache_content(self, entry: CommandEntry, _store: str) -> None:
        fields = entry.fields
        kind = _stored(KINDS, Content.Kind, fields["kind"])
        values = (fields["title"], kind, str(fields["duration_seconds"]))
        items = self.expected.tables[image.CONTENTS]
        if items:
            _change(items[0], values)
            items[0].made_by, items[0].stamp = entry.correlation_id, self._found.stamp(entry.correlation_id)
        else:
            self._add(image.CONTENTS, entry, entry.entity, values)

    def _remove(self, entry: CommandEntry, _store: str) -> None:
        item = self._named(entry)
        if item is not None:
            self._take(_TABLE_OF[entry.command], item)

    def _add(self, table: str, entry: CommandEntry, identity: Hashable, values: tuple[object, ...]) -> None:
        stamp = self._found.stamp(entry.correlation_id)
        self.expected.tables[table].append(ExpectedItem(identity, values, entry.correlation_id, stamp))

    def _take(self, table: str, item: ExpectedItem) -> None:
        self.expected.tables[table].remove(item)
        self.expected.gone[table].append(item)

    def _named(self, entry: CommandEntry) -> ExpectedItem | None:
        """Return the item that a command is about, where it is there."""
        items = self.expected.tables[_TABLE_OF[entry.command]]
        if entry.command == "DeleteContent":
            return next(iter(items), None)
        field_name = _NAMING_FIELD[entry.command]
        named: Any = entry.fields[field_name]
        if field_name in {"payment_id", "subscription_id"}:
            return next((item for item in items if item.stamp == named), None)
        return next((item for item in items if item.identity == named), None)


_May = Callable[[int, CommandEntry, str], frozenset[str]]
_Rule = tuple[_May, Callable[[CommandEntry, str], None]]
_TABLE_OF: Final = {
    "CancelSubscription": image.SUBSCRIPTIONS,
    "CancelPayment": image.PAYMENTS,
    "DeleteView": image.VIEWS,
    "UpdateSession": image.SESSIONS,
    "DeleteSession": image.SESSIONS,
    "DeleteContent": image.CONTENTS,
}
_NAMING_FIELD: Final = {
    "CancelSubscription": "subscription_id",
    "CancelPayment": "payment_id",
    "DeleteView": "view_id",
    "UpdateSession": "session_id",
    "DeleteSession": "session_id",
}


def as_stored(item: ExpectedItem) -> StoredItem:
    """Return an expected item as the store would have it."""
    return StoredItem(item.identity, item.values, item.stamp)


def _stored(stored_enum: StoredEnum[Any], enum: Any, name: str) -> str:
    """Return what a store holds for the value of an enum that JSON names."""
    return stored_enum.text(enum.Value(name))


def _last(entries: Sequence[CommandEntry], command: str) -> int:
    return max((position for position, entry in enumerate(entries) if entry.command == command), default=-1)


def _change(item: ExpectedItem, values: tuple[object, ...]) -> None:
    if values != item.values:
        item.past.append(item.values)
        item.values = values
