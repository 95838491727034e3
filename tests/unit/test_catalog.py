"""The commands, as the protos declare them."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from polystream.options.v1 import options_pb2

from mesh.catalog import load_catalog, read_command

CREATES, CHECKS_USER, ERASES_USER = "creates", "checks_user", "erases_user"
SAID: Mapping[str, set[str]] = {
    "CreateUser": {CREATES},
    "UpdateUser": set(),
    "DeleteUser": {ERASES_USER},
    "CreateSubscription": {CREATES},
    "CancelSubscription": set(),
    "CreatePayment": {CREATES},
    "CancelPayment": set(),
    "UpdatePreferences": set(),
    "RecordView": {CREATES, CHECKS_USER},
    "DeleteView": set(),
    "GenerateRecommendations": {CHECKS_USER},
    "CacheContent": set(),
    "DeleteContent": set(),
    "CreateSession": {CREATES, CHECKS_USER},
    "UpdateSession": set(),
    "DeleteSession": set(),
}


def test_what_each_command_says_of_users_and_of_order() -> None:
    """Who adds a resource, who needs a user to exist, and who erases one."""
    commands = load_catalog().commands
    assert {
        name: {option for option in (CREATES, CHECKS_USER, ERASES_USER) if getattr(commands[name], option)}
        for name in SAID
    } == SAID


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"key": "name", "stores": ["REDIS"]}, "key 'name' is not a field"),
        ({"key": "item_id", "stores": ["REDIS"], CHECKS_USER: True}, "its key must be 'user_id'"),
        ({"key": "item_id", "stores": ["REDIS"], ERASES_USER: True}, "its key must be 'user_id'"),
        ({"key": "user_id", "stores": ["REDIS", "POSTGRESQL"], CHECKS_USER: True}, "POSTGRESQL holds the users"),
    ],
    ids=["no such key", "checks a user by another key", "erases a user by another key", "checks a user of its own"],
)
def test_options_that_do_not_fit_are_refused(options: Mapping[str, Any], complaint: str) -> None:
    """A mistake in a proto is named when the catalog is read, with the RPC, and not when a command comes."""
    file = descriptor_pb2.FileDescriptorProto(name="trial.proto", package="trial", syntax="proto3")
    request = file.message_type.add(name="Request")
    for number, name in enumerate(("user_id", "item_id"), start=1):
        request.field.add(name=name, number=number, type="TYPE_INT64", label="LABEL_OPTIONAL")
    method = file.service.add(name="Trial").method.add(name="Try", input_type="Request", output_type="Request")
    method.options.Extensions[options_pb2.command].CopyFrom(  # type: ignore[index] # the generated stub says FieldDescriptor
        options_pb2.CommandOptions(**options)
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    service = pool.FindServiceByName("trial.Trial")
    with pytest.raises(ValueError, match=complaint) as caught:
        read_command(service, service.methods_by_name["Try"])
    assert "trial.Trial.Try" in str(caught.value)
