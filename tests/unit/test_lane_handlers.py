"""The handlers are those that the contracts ask for, and the order in which they are given commands."""

import importlib
import pkgutil

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest

import processor.handlers
from processor.batches import answer_batch, group_by_command, split_batch, without_repetitions
from processor.handlers import find_handler, module_name
from processor.model import Unanswered
from tests.support.lanes import CATALOG, delivery

STORES = ("POSTGRESQL", "MONGODB", "REDIS")


def test_every_command_has_a_handler_for_each_of_its_stores() -> None:
    """A command that the protos declare can be applied wherever they say."""
    missing = []
    for command in CATALOG.commands.values():
        for store in command.stores:
            try:
                find_handler(command, store)
            except LookupError as error:
                missing.append(str(error))
    assert missing == []


def test_no_handler_is_left_over() -> None:
    """A module, or a function of a store's name, that no command asks for would never run."""
    by_module = {module_name(command.name): command for command in CATALOG.commands.values()}
    left_over = []
    for info in pkgutil.iter_modules(processor.handlers.__path__):
        command = by_module.get(info.name)
        if command is None:
            left_over.append(info.name)
            continue
        module = importlib.import_module(f"processor.handlers.{info.name}")
        left_over += [
            f"{info.name}.{store.lower()}"
            for store in STORES
            if hasattr(module, store.lower()) and store not in command.stores
        ]
    assert left_over == []


def test_a_missing_handler_is_named() -> None:
    """The error says which function of which module is looked for."""
    with pytest.raises(LookupError, match=r"create_user has no function redis"):
        find_handler(CATALOG.commands["CreateUser"], "REDIS")


def test_parts_keep_the_order_within_a_key_and_hold_each_key_once() -> None:
    """Applied in turn, they do what one by one would do."""
    batch = [delivery(CreateUserRequest(user_id=user_id)) for user_id in (1, 2, 1, 3, 1, 2)]
    parts = split_batch(batch, keep_runs=False)
    assert [[batch.index(d) for d in part] for part in parts] == [[0, 1, 3], [2, 5], [4]]


def test_groups_hold_one_command_each() -> None:
    """A handler is given all deliveries of its command at once."""
    batch = [
        delivery(CreateUserRequest(user_id=1)),
        delivery(DeleteUserRequest(user_id=2)),
        delivery(CreateUserRequest(user_id=3)),
        delivery(UpdateUserRequest(user_id=4)),
    ]
    assert [[batch.index(d) for d in group] for group in group_by_command(batch)] == [[0, 2], [1], [3]]


def test_a_command_is_answered_once_and_repeated_otherwise() -> None:
    """Of a command's deliveries the first gets what was made, the others repetitions, and what waits nothing."""
    made, known, waiting = (delivery(CreateUserRequest(user_id=user_id)) for user_id in (1, 2, 3))
    batch = [made, known, waiting, made, known]
    assert list(without_repetitions(batch).values()) == batch[:3]
    answers = answer_batch(
        batch,
        earlier={known.correlation_id: CommandReceipt(correlation_id=known.correlation_id)},
        made={made.correlation_id: CommandReceipt(correlation_id=made.correlation_id)},
    )
    assert [a if isinstance(a, Unanswered) else (a.correlation_id, a.duplicate) for a in answers] == [
        (made.correlation_id, False),
        (known.correlation_id, True),
        Unanswered.DEFERRED,
        (made.correlation_id, True),
        (known.correlation_id, True),
    ]
