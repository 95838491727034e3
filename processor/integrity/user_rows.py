"""The rows of users, from what Kafka has of their commands: nowhere else is a name, an e-mail address or a CPF."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import CreateUserRequest, UpdateUserRequest, User

from mesh import topics
from mesh.topic_reader import TopicReader
from processor.integrity.gone import MarkedStore, marks_of
from processor.integrity.told_effects import result_of
from processor.lanes.decoding import CommandDecoder, Item

_COMMANDS = frozenset({"CreateUser", "UpdateUser"})

UserRow = tuple[int, str, str, str, datetime]  # user_id, nome, email, cpf, data_criacao


def user_rows(
    reader: TopicReader, decoder: CommandDecoder, store: MarkedStore, user_ids: Collection[int]
) -> dict[int, UserRow]:
    """Return the rows of those users of whom Kafka still has the CreateUser, and so all that came after it.

    `store` is PostgreSQL: what it has refused has no part in a row. Raises TopicError and PolystreamError.
    """
    applied = _applied(store, user_ids)
    rows: dict[int, UserRow] = {}
    for record in reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)) if applied else ():
        headers = record.read_headers()
        if headers.command not in _COMMANDS or headers.correlation_id not in applied:
            continue
        item = decoder.decode(record)
        if isinstance(item, Item):
            user = applied.pop(headers.correlation_id)  # it may be there twice
            _fold(rows, user, item.delivery.request)
    return rows


def _applied(store: MarkedStore, user_ids: Collection[int]) -> dict[str, User]:
    """Return what CreateUser and UpdateUser have answered about these users, by correlation ID."""
    found: dict[str, User] = {}
    for page in marks_of(store):
        for receipt in _about(page, user_ids):
            result = result_of(receipt)
            if isinstance(result, User):
                found[receipt.correlation_id] = result
    return found


def _about(page: Sequence[CommandReceipt], user_ids: Collection[int]) -> list[CommandReceipt]:
    return [one for one in page if one.command in _COMMANDS and one.user_id in user_ids]


def _fold(rows: dict[int, UserRow], user: User, request: Any) -> None:
    if isinstance(request, CreateUserRequest):
        cpf = request.cpf.replace(".", "").replace("-", "")
        created = user.create_time.ToDatetime(UTC)
        rows[user.user_id] = (user.user_id, request.name, request.email, cpf, created)
    elif isinstance(request, UpdateUserRequest) and user.user_id in rows:
        user_id, name, email, cpf, created = rows[user.user_id]
        name = request.name if request.HasField("name") else name
        email = request.email if request.HasField("email") else email
        rows[user.user_id] = (user_id, name, email, cpf, created)
