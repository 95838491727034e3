"""Which fields a message has to have, by its validation rules."""

from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


class RulesError(Exception):
    """A message's rules can't be applied, for instance since one names a field that is gone."""


def newly_required(before: bytes, now: bytes, folder: str) -> Iterator[tuple[str, str]]:
    """Yield the file and a sentence for each field that has to be set now and had not to be before.

    `before` and `now` are FileDescriptorSets, imports included; `folder` is where the files of interest are. Whatever
    the rule is by which an unset field is refused, an empty message shows it. A message that is new may ask for what it
    likes. Raises RulesError where a message's rules can't be applied.
    """
    old_pool, new_pool = _pool(before), _pool(now)
    # A validator remembers messages by their names, which the two sets share.
    old_rules, new_rules = protovalidate.Validator(), protovalidate.Validator()
    for file in FileDescriptorSet.FromString(now).file:
        if not file.name.startswith(folder):
            continue
        for message in new_pool.FindFileByName(file.name).message_types_by_name.values():
            try:
                known = old_pool.FindMessageTypeByName(message.full_name)
            except KeyError:
                continue
            missing = _required(message, new_rules)
            for field in sorted(set(missing) - set(_required(known, old_rules))):
                yield f"proto/{file.name}", f"{message.name}.{field} has to be set now ({missing[field]})"


def _pool(descriptors: bytes) -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptors).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _required(message: Descriptor, rules: protovalidate.Validator) -> dict[str, str]:
    """Return the fields that an empty message is refused for, with the rule by which it is. Raises RulesError."""
    try:
        violations = rules.collect_violations(GetMessageClass(message)())
    except (protovalidate.CompilationError, protovalidate.EvaluationError) as error:
        raise RulesError(f"the rules of {message.full_name} can't be applied: {error}") from error
    return {_field(violation.proto): violation.proto.rule_id for violation in reversed(violations)}


def _field(violation: Any) -> str:
    elements = violation.field.elements if violation.field else ()
    return ".".join(element.field_name for element in elements) or "(the message)"
