"""Kafka's states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from mesh.topics import COMMANDS, RECEIPTS
from tests.support.dependency_faults.cell import Cause
from tests.support.dependency_faults.world import World

_TIMEOUT_S: Final = 30.0
_EVERYBODY: Final = "User:*"


def takes_no_writes(*topics: str) -> Cause:
    """Forbid everybody to write to some topics; all else stays allowed.

    More replicas than there are would be no harm: Kafka asks for no more than a topic can have.
    """

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        admin = AdminClient({"bootstrap.servers": world.kafka})
        rules = [
            AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, _EVERYBODY, "*", operation, permission)
            for topic in topics
            for operation, permission in (
                (AclOperation.ALL, AclPermissionType.ALLOW),  # where there is a rule, what none allows is forbidden
                (AclOperation.WRITE, AclPermissionType.DENY),
            )
        ]
        for created in admin.create_acls(rules, request_timeout=_TIMEOUT_S).values():
            created.result(_TIMEOUT_S)
        try:
            yield
        finally:
            of_topics = [
                AclBindingFilter(
                    *(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, _EVERYBODY, "*"),
                    *(AclOperation.ANY, AclPermissionType.ANY),
                )
                for topic in topics
            ]
            for deleted in admin.delete_acls(of_topics, request_timeout=_TIMEOUT_S).values():
                deleted.result(_TIMEOUT_S)

    return cause


is_read_only = takes_no_writes(COMMANDS, RECEIPTS)
takes_no_receipts = takes_no_writes(RECEIPTS)
