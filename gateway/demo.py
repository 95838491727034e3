"""Realistic values for commands that say nothing, in Brazilian Portuguese.

The earlier demo filled in a POST without a body, and its paths still do. Everywhere else a command has to say what it
wants: a subscription that nobody asked for would be a purchase.
"""

import random
import unicodedata
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from faker import Faker
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from polystream.options.v1 import options_pb2

FIXTURE_USER_ID: Final = 1234  # exists after a first start

_CPF_BASE_DIGITS = 9
_GENRES = ("Ação", "Aventura", "Comédia", "Documentário", "Drama", "Fantasia", "Ficção científica", "Suspense")
_TITLES = ("O Segredo de {}", "Noites de {}", "Uma Viagem a {}", "Os Guardiões de {}", "De Volta a {}", "{} em Chamas")


class DemoData:
    """Fills the fields of commands. One caller at a time: the generator's state is shared."""

    def __init__(self) -> None:
        self._fake = Faker("pt_BR")

    def fill(self, request: Message, fields: Mapping[str, FieldDescriptor], correlation_id: str) -> None:
        """Fill `fields`, which are by name, of a request that sets none of them.

        `correlation_id` is the command's: the same ID gives the same values.
        """
        identity = uuid.UUID(correlation_id)
        self._fake.seed_instance(identity.int)
        draw = Draw(self._fake, self._fake.random, identity.hex[12:])
        for field in fields.values():
            _set(request, field, KINDS[_kind(field)](draw, field))


def demo_fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    """Return the fields that have a demo kind. Raises ValueError for a kind without a generator."""
    fields = {field.name: field for field in descriptor.fields if _kind(field)}
    for name, field in fields.items():
        if _kind(field) not in KINDS:
            raise ValueError(f"{descriptor.full_name}.{name}: there is no demo kind {_kind(field)!r}")
    return fields


def is_silent(request: Message, fields: Collection[str], named: Collection[str] = ()) -> bool:
    """Whether the request says nothing: it has no more than the identifiers that paths and query parameters give.

    `fields` are the names of those with a demo kind: any of them, an identifier too, says something. `named` are the
    names of the fields that were given a value, even an empty one, which binary protobuf does not tell.
    """
    # What is named is known already, and settles it for most requests.
    if any(name in fields or not name.endswith("_id") for name in named):
        return False
    said = [field.name for field, _ in request.ListFields()]
    return all(name.endswith("_id") and name not in fields for name in said)


def _kind(field: FieldDescriptor) -> str:
    options = field.GetOptions()
    return str(options.Extensions[options_pb2.demo])  # type: ignore[index] # the generated stub says FieldDescriptor


def _set(request: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(request, field.name).extend(value)
    elif field.message_type is not None:
        getattr(request, field.name).CopyFrom(value)
    else:
        setattr(request, field.name, value)


@dataclass(frozen=True, slots=True)
class Draw:
    """What a generator draws from: the same for the same command, however often it is delivered."""

    fake: Faker
    rng: random.Random
    unique: str  # hexadecimal digits that no other command has


def _email(draw: Draw, _: FieldDescriptor) -> str:
    ascii_name = unicodedata.normalize("NFKD", draw.fake.first_name()).encode("ascii", "ignore").decode()
    return f"{ascii_name.lower().replace(' ', '.')}.{draw.unique}@example.com"


def _cpf(draw: Draw, _: FieldDescriptor) -> str:
    """Return nine digits and the two that check them: sums modulo 11, weighted from 2 upwards, the last digit first."""
    digits = [draw.rng.randrange(10) for _digit in range(_CPF_BASE_DIGITS)]
    if len(set(digits)) == 1:
        digits[0] = (digits[0] + 1) % 10  # eleven equal digits are no CPF
    for _check_digit in range(2):
        weighted = sum(digit * (len(digits) + 1 - place) for place, digit in enumerate(digits))
        digits.append(weighted * 10 % 11 % 10)
    return "".join(map(str, digits))


def _enum(draw: Draw, field: FieldDescriptor) -> int:
    values = cast(EnumDescriptor, field.enum_type).values
    return draw.rng.choice([value.number for value in values if value.number != 0])


def _money(draw: Draw, _: FieldDescriptor) -> Money:
    return Money(currency_code="BRL", units=draw.rng.choice((19, 29, 39, 55)), nanos=900_000_000)


_Generator = Callable[[Draw, FieldDescriptor], Any]

# The values of (polystream.options.v1.demo), each with what fills the field.
KINDS: Final[Mapping[str, _Generator]] = {
    "name": lambda draw, _: f"{draw.fake.first_name()} {draw.fake.last_name()}",
    "email": _email,
    "cpf": _cpf,
    "enum": _enum,
    "months": lambda draw, _: draw.rng.choice((1, 3, 6, 12)),
    "money": _money,
    "language": lambda draw, _: draw.rng.choice(("pt-BR", "pt-BR", "es-AR", "en-US")),
    "bool": lambda draw, _: draw.rng.random() < 0.5,
    "title": lambda draw, _: draw.rng.choice(_TITLES).format(draw.fake.city()),
    "seconds": lambda draw, _: draw.rng.randrange(300, 7200),
    "percent": lambda draw, _: round(draw.rng.uniform(1, 100), 1),
    "genres": lambda draw, _: draw.rng.sample(_GENRES, draw.rng.randint(1, 3)),
    "fixture_user": lambda *_: FIXTURE_USER_ID,
}
