"""The commands of a run: who sends which, when and how. The same seed gives the same ones.

Each client has users and contents of its own, and sends their commands one after the other: so the order in which a
entity's commands are acknowledged is known. Whatever tells one command's effect from another's is unique in the run:
amounts, titles, names, e-mail addresses.
"""

import enum
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ABSENT_ID: Final = 9_000_000_000_000  # that of no payment and no subscription
ABSENT_UUID: Final = "00000000-0000-7000-8000-000000000000"  # that of no view and no session
INVALID: Final = "INVALID_FIELD"
_CLIENTS: Final = 6
_USERS_A_CLIENT: Final = 5
_CONTENTS_A_CLIENT: Final = 4
_FIRST_USER: Final = 900_000
_FIRST_CONTENT: Final = 700_000
_ANCHOR: Final = 899_999  # the user whose e-mail address others want in vain
_CONTENT_SHARE: Final = 0.15  # of the commands
_INVALID_SHARE: Final = 0.01
_AGAIN_SHARE: Final = 0.05  # sent twice under their request ID
_OTHER_SHARE: Final = 0.04  # another request under the same request ID
_ABSENT_SHARE: Final = 0.06  # of the commands that name something: of what is not there
_REST_SHARE: Final = 0.4
_MADE_MAX: Final = 6  # of a kind: the newest that a user's later commands name
_PLANS: Final = ("BASIC", "STANDARD", "PREMIUM")
_METHODS: Final = ("PIX", "CREDIT_CARD", "DEBIT_CARD", "BOLETO")
_KINDS: Final = ("MOVIE", "SERIES", "DOCUMENTARY")
_THEMES: Final = ("LIGHT", "DARK", "SYSTEM")
_LANGUAGES: Final = ("pt-BR", "en", "es-419", "fr-CA", "de")
_DEVICES: Final = ("TV", "MOBILE", "WEB", "CONSOLE")


class Repetition(enum.Enum):
    """What a client sends once a command has been acknowledged."""

    NONE = "none"
    AGAIN = "again"  # the same
    OTHER = "other"  # another request under the same request ID


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """One command that a client is to send."""

    serial: int
    client: int
    at_s: float  # since the load began; later where the client is not done with the one before
    entity: str
    command: str
    fields: Mapping[str, Any]  # of its request, as JSON has them
    made_by: Mapping[str, int] = field(default_factory=dict)  # fields that name what another command made: its serial
    door: str = "grpc"
    repetition: Repetition = Repetition.NONE
    other: Mapping[str, Any] = field(default_factory=dict)  # the fields that differ in the other request
    refusal: str = ""  # the reason with which the gateway must refuse it


@dataclass(frozen=True, slots=True)
class Workload:
    """All commands of a run."""

    anchor: PlannedCommand  # comes before all others, and is waited for
    by_client: Sequence[Sequence[PlannedCommand]]

    @property
    def size(self) -> int:
        """How many commands there are."""
        return 1 + sum(map(len, self.by_client))


def make_workload(seed: int, commands: int, duration_s: float) -> Workload:
    """Return so many commands, spread evenly over a time in seconds."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    token = f"v{seed}"
    anchor = _Person(_ANCHOR)
    planned = PlannedCommand(
        0, 0, 0.0, f"user {_ANCHOR}", "CreateUser", anchor.fields(0, token), door="grpc", repetition=Repetition.NONE
    )
    clients = [_PlanningClient(number, rng, token, str(planned.fields["email"])) for number in range(_CLIENTS)]
    by_client: list[list[PlannedCommand]] = [[] for _ in clients]
    for serial in range(1, max(1, commands)):
        client = clients[(serial - 1) % _CLIENTS]
        by_client[client.number].append(client.plan(serial, duration_s * serial / commands))
    return Workload(planned, by_client)


def cpf_of(number: int) -> str:
    """Return a CPF with valid check digits: another one for each number below a thousand million."""
    digits = [int(digit) for digit in f"{number % 10**9:09d}"]
    for length in (9, 10):
        total = sum(digit * (length + 1 - position) for position, digit in enumerate(digits[:length]))
        digits.append(total * 10 % 11 % 10)
    return "".join(map(str, digits))


class _Person:
    """A user as the plan expects it to be: which of its things later commands may name."""

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        self.exists = False
        self.made: dict[str, list[int]] = {}  # serials by command

    def fields(self, serial: int, token: str) -> dict[str, Any]:
        """Return the request that creates it."""
        return {
            "user_id": self.user_id,
            "name": f"Pessoa {token} {serial}",
            "email": f"{token}.{serial}@example.com",
            "cpf": cpf_of(100_000_000 + serial),
        }

    def remember(self, command: str, serial: int) -> None:
        self.made[command] = [*self.made.get(command, []), serial][-_MADE_MAX:]


@dataclass(frozen=True, slots=True)
class _Draft:
    command: str
    fields: Mapping[str, Any]
    made_by: Mapping[str, int] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)


class _PlanningClient:
    """Draws one client's commands."""

    def __init__(self, number: int, rng: random.Random, token: str, taken_email: str) -> None:
        self.number = number
        self._rng = rng
        self._token = token
        self._taken_email = taken_email
        first_user = _FIRST_USER + number * _USERS_A_CLIENT
        first_content = _FIRST_CONTENT + number * _CONTENTS_A_CLIENT
        self._people = [_Person(first_user + index) for index in range(_USERS_A_CLIENT)]
        self._contents = range(first_content, first_content + _CONTENTS_A_CLIENT)
        self._drafts: Mapping[str, Callable[[_Person, int], _Draft]] = {
            "RecordView": self._record_view,
            "CreatePayment": self._create_payment,
            "UpdatePreferences": self._update_preferences,
            "UpdateUser": self._update_user,
            "CreateSubscription": self._create_subscription,
            "CreateSession": self._create_session,
            "CancelPayment": self._cancel("CancelPayment", "payment_id", "CreatePayment", ABSENT_ID),
            "DeleteView": self._cancel("DeleteView", "view_id", "RecordView", ABSENT_UUID),
            "GenerateRecommendations": self._generate_recommendations,
            "CancelSubscription": self._cancel(
                "CancelSubscription", "subscription_id", "CreateSubscription", ABSENT_ID
            ),
            "DeleteSession": self._cancel("DeleteSession", "session_id", "CreateSession", ABSENT_UUID),
            "UpdateSession": self._update_session,
            "DeleteUser": self._delete_user,
            "CreateUser": self._create_user,
        }
        self._weights = (22, 14, 12, 12, 8, 8, 6, 5, 4, 4, 4, 3, 3, 1)

    def plan(self, serial: int, at_s: float) -> PlannedCommand:
        """Return the next command."""
        if self._rng.random() < _CONTENT_SHARE:
            content_id = self._rng.choice(self._contents)
            entity, draft = f"content {content_id}", self._about_content(content_id, serial)
        else:
            person = self._rng.choice(self._people)
            entity, draft = f"user {person.user_id}", self._about(person, serial)
        door = "rest" if self._rng.random() < _REST_SHARE else "grpc"
        if self._rng.random() < _INVALID_SHARE:
            invalid = {name: value for name, value in draft.fields.items() if name in {"user_id", "content_id"}}
            if invalid:
                invalid = dict.fromkeys(invalid, 2**53)
                return PlannedCommand(
                    *(serial, self.number, at_s, entity, draft.command, dict(draft.fields) | invalid, draft.made_by),
                    door=door,
                    refusal=INVALID,
                )
        drawn, repetition = self._rng.random(), Repetition.NONE
        if drawn < _AGAIN_SHARE:
            repetition = Repetition.AGAIN
        elif drawn < _AGAIN_SHARE + _OTHER_SHARE and draft.other:
            repetition = Repetition.OTHER
        return PlannedCommand(
            *(serial, self.number, at_s, entity, draft.command, draft.fields, draft.made_by),
            door=door,
            repetition=repetition,
            other=draft.other if repetition is Repetition.OTHER else {},
        )

    def _about(self, person: _Person, serial: int) -> _Draft:
        if not person.exists and self._rng.random() < 0.6:
            return self._create_user(person, serial)
        (command,) = self._rng.choices(list(self._drafts), self._weights)
        return self._drafts[command](person, serial)

    def _about_content(self, content_id: int, serial: int) -> _Draft:
        if self._rng.random() < 0.25:
            return _Draft("DeleteContent", {"content_id": content_id})
        fields = {
            "content_id": content_id,
            "title": f"Conteúdo {self._token} {serial}",
            "kind": self._rng.choice(_KINDS),
            "duration_seconds": self._rng.randrange(60, 20_000),
        }
        return _Draft("CacheContent", fields, other={"title": f"Outro {self._token} {serial}"})

    def _create_user(self, person: _Person, serial: int) -> _Draft:
        person.exists = True
        return _Draft("CreateUser", person.fields(serial, self._token), other={"name": f"Outra {self._token} {serial}"})

    def _update_user(self, person: _Person, serial: int) -> _Draft:
        drawn = self._rng.random()
        if drawn < 0.08:
            return _Draft("UpdateUser", {"user_id": person.user_id, "email": self._taken_email})
        fields: dict[str, Any] = {"user_id": person.user_id}
        if drawn < 0.7:
            fields["name"] = f"Pessoa {self._token} {serial}"
        if drawn > 0.4:
            fields["email"] = f"{self._token}.{serial}@example.com"
        return _Draft("UpdateUser", fields, other={"name": f"Outra {self._token} {serial}"})

    def _delete_user(self, person: _Person, serial: int) -> _Draft:
        del serial
        person.exists = False
        return _Draft("DeleteUser", {"user_id": person.user_id})

    def _create_subscription(self, person: _Person, serial: int) -> _Draft:
        person.remember("CreateSubscription", serial)
        fields = {"user_id": person.user_id, "plan": self._rng.choice(_PLANS), "months": self._rng.randrange(1, 37)}
        return _Draft("CreateSubscription", fields, other={"months": int(fields["months"]) % 36 + 1})

    def _create_payment(self, person: _Person, serial: int) -> _Draft:
        person.remember("CreatePayment", serial)
        cents = 100 + serial
        fields = {"user_id": person.user_id, "amount": money(cents), "method": self._rng.choice(_METHODS)}
        return _Draft("CreatePayment", fields, other={"amount": money(50_000_000 + cents)})

    def _update_preferences(self, person: _Person, serial: int) -> _Draft:
        del serial
        chosen = {
            "language": self._rng.choice(_LANGUAGES),
            "notifications": self._rng.random() < 0.5,
            "theme": self._rng.choice(_THEMES),
        }
        names = self._rng.sample(sorted(chosen), self._rng.randrange(1, 4))
        return _Draft("UpdatePreferences", {"user_id": person.user_id} | {name: chosen[name] for name in names})

    def _record_view(self, person: _Person, serial: int) -> _Draft:
        person.remember("RecordView", serial)
        fields = {
            "user_id": person.user_id,
            "content_id": self._rng.choice(self._contents),
            "title": f"Visto {self._token} {serial}",
            "kind": self._rng.choice(_KINDS),
            "watched_seconds": self._rng.randrange(86_000),
        }
        return _Draft("RecordView", fields, other={"title": f"Outro {self._token} {serial}"})

    def _generate_recommendations(self, person: _Person, serial: int) -> _Draft:
        del serial
        return _Draft("GenerateRecommendations", {"user_id": person.user_id, "max_items": 5}, other={"max_items": 6})

    def _create_session(self, person: _Person, serial: int) -> _Draft:
        person.remember("CreateSession", serial)
        devices = self._rng.sample(_DEVICES, 2)
        return _Draft(
            "CreateSession",
            {"user_id": person.user_id, "device": devices[0], "ttl_seconds": 86_400},
            other={"device": devices[1]},
        )

    def _update_session(self, person: _Person, serial: int) -> _Draft:
        draft = self._cancel("UpdateSession", "session_id", "CreateSession", ABSENT_UUID)(person, serial)
        return _Draft(draft.command, {**draft.fields, "ttl_seconds": self._rng.randrange(7_200, 86_400)}, draft.made_by)

    def _cancel(self, command: str, name: str, maker: str, absent: object) -> Callable[[_Person, int], _Draft]:
        """Return what draws a command about something that an earlier one made, or about nothing."""

        def draft(person: _Person, serial: int) -> _Draft:
            del serial
            about = {} if name == "session_id" else {"user_id": person.user_id}
            made = person.made.get(maker)
            if not made or self._rng.random() < _ABSENT_SHARE:
                return _Draft(command, {**about, name: absent})
            return _Draft(command, about, {name: self._rng.choice(made)})

        return draft


def has_personal_data(serialized: bytes) -> bool:
    """Tell whether a message has a name or an e-mail address of a run's user in it, whichever run's."""
    return any(text in serialized for text in (b"@example.com", b"Pessoa v"))


def money(cents: int) -> dict[str, Any]:
    """Return an amount of Brazilian reais as JSON has it."""
    return {"currency_code": "BRL", "units": cents // 100, "nanos": cents % 100 * 10_000_000}


def cents_of(amount: Mapping[str, Any]) -> int:
    """Return an amount in cents."""
    return int(amount.get("units", 0)) * 100 + int(amount.get("nanos", 0)) // 10_000_000
