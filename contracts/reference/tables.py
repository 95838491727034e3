"""The tables of the documentation, each made of the module that decides what is in it."""

import dataclasses
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

from google.rpc import code_pb2
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from contracts.descriptors import EVENT_OPTION, Descriptors
from contracts.reference import signals
from contracts.reference.markdown import code, codes, table
from contracts.reference.sources import comments_in
from mesh import errors, settings, topics
from mesh.catalog import load_catalog
from mesh.error_classes.classes import ErrorClass
from mesh.http_status import http_status
from mesh.settings_base import variable
from mesh.telemetry import names
from mesh.telemetry.metric_list import METRICS, Service, metrics_of
from mesh.telemetry.prometheus import prometheus_name
from registry.settings import PocketRegistrySettings
from stack import ports
from stack.supervisor import room

_IN_A_LANE: Final = {
    ErrorClass.REFUSE: "refuses: the operation fails",
    ErrorClass.WAIT: "tries again: nothing is lost",
    ErrorClass.SET_APART: "dead-letters the record",
}
_ONLY_IN_DOCUMENTS: Final = {
    "reason": "The error's reason alone, to count by.",
    "sampled": "Whether spans of its trace are to be expected.",
}
# What clients read in the headers of a record that was set apart; the other headers are on the topics themselves.
_DEAD_LETTER_PREFIX: Final = "dlq."


class UndocumentedError(Exception):
    """Something has no comment beside it, and so no words in the documentation."""


def error_table() -> str:
    """Return every reason of the platform's own errors."""
    rows = []
    for reason in errors.Reason:
        row = reason.value
        name = code_pb2.Code.Name(row.code)
        delay = "" if row.retry_delay_s is None else f"{row.retry_delay_s:g} s"
        status = str(http_status(row.code, reason.name))
        rows.append((code(reason.name), code(name), status, delay, row.message, _IN_A_LANE[row.error_class]))
    return table(
        ("reason", "gRPC code", "HTTP", "try again after", "what happened, and what to do", "a lane that meets it"),
        rows,
    )


def topic_table(descriptors: Descriptors) -> str:
    """Return the topics: what is in each, its partitions and how long it is kept."""
    commands, receipts, dead_letters = topics.COMMANDS, topics.RECEIPTS, topics.DEAD_LETTERS
    event = next(m for m in descriptors.messages() if descriptors.option(m, EVENT_OPTION) is not None)
    holds = {
        commands: "every command, as the Avro record of its request",
        receipts: f"each store's answer, as `{event.full_name}`",
        dead_letters: "the records that no lane could apply, as they came, with their cause in headers",
    }
    rows = [
        (code(name), holds[name], str(topics.PARTITIONS), f"{_retention_days(name)} days")
        for name in (commands, receipts, dead_letters)
    ]
    return table(("topic", "holds", "partitions", "kept for"), rows)


def _retention_days(topic: str) -> int:
    return topics._RETENTION_MS[topic] // 86_400_000  # noqa: SLF001 - decided there, and told here


def header_table(*, dead_letters: bool) -> str:
    """Return the headers of the records on the topics, or those that a dead letter has besides."""
    said = comments_in(topics)
    rows = [
        (code(value), said[name])
        for name, value in vars(topics).items()
        if isinstance(value, str) and name in said and _is_header(name) and _is_of_dead_letters(value) == dead_letters
    ]
    for header, meaning in rows:
        _demand(meaning, f"the header {header} in mesh/topics.py")
    return table(("header", "is"), rows)


def _is_header(name: str) -> bool:
    return name.isupper() and not name.startswith("_") and name not in {"COMMANDS", "RECEIPTS", "DEAD_LETTERS"}


def _is_of_dead_letters(value: str) -> bool:
    return value.startswith(_DEAD_LETTER_PREFIX)


def record_table(descriptors: Descriptors) -> str:
    """Return the Avro record of each command, with its subject in the registry."""
    rows = []
    for name, command in sorted(load_catalog().commands.items()):
        subject = f"{topics.COMMANDS}-{command.request_type}"
        rows.append((code(name), code(command.request_type), code(subject), code(command.key_field)))
    for message in descriptors.messages():
        event = descriptors.option(message, EVENT_OPTION)
        if event is not None:
            rows.append(
                ("receipts", code(message.full_name), code(f"{event.topic}-{message.full_name}"), "the command's")
            )
    return table(("command", "Avro record", "subject", "key"), rows)


def event_table(descriptors: Descriptors, mapping: Mapping[str, Any]) -> str:
    """Return the fields of an event document, with their types in the index."""
    event = descriptors.message("polystream.v1.Event")
    said = {field.name: descriptors.comment(field.full_name) for field in event.fields}
    said |= _ONLY_IN_DOCUMENTS
    rows = [
        (code(name), code(kind["type"]), _demand(said.get(name, ""), f"the event document's field {name}"))
        for name, kind in mapping.items()
    ]
    return table(("field", "type in the index", "is"), rows)


def span_table() -> str:
    """Return the spans of a command, in the order in which they are made."""
    said = comments_in(names)
    spans = ("GATEWAY_SEND", "LANE_PROCESS", "LANE_STORE", "LANE_SEND", "GATEWAY_PROCESS")
    return table(("span", "is"), [(code(getattr(names, name)), said[name]) for name in spans])


def metric_table() -> str:
    """Return every metric, with its name on `/metrics`, its unit, its attributes and the services that emit it."""
    rows = [
        (
            code(spec.name),
            code(prometheus_name(spec)),
            f"{spec.kind.value}, {code(spec.unit)}",
            codes(spec.attributes),
            ", ".join(service.value for service in Service if service in spec.services),
            spec.description,
        )
        for spec in METRICS
    ]
    return table(("metric", "on `/metrics`", "kind and unit", "attributes", "services", "tells"), rows)


def signal_table() -> str:
    """Return what each service emits: its spans and its events; metrics have a table of their own."""
    rows = [
        (
            service.value,
            codes(signals.SPANS[service]) or "none",
            codes(signals.EVENTS[service]) or "none",
            str(len(metrics_of(service))),
        )
        for service in Service
    ]
    return table(("service", "spans", "events", "metrics"), rows)


def room_table() -> str:
    """Return what a machine has to have free for a platform, on each set of engines."""
    told = comments_in(room, "Needs")
    sets = room.NEEDS
    rows = [
        (told[field.name], *(_amount(field.name, getattr(needs, field.name)) for needs in sets.values()))
        for field in dataclasses.fields(room.Needs)
    ]
    return table(("free", *map(code, sets)), rows)


def _amount(name: str, value: int) -> str:
    return f"{value >> 20:,} MiB" if name.endswith("_bytes") else f"{value:,}"


def port_table() -> str:
    """Return every port, with what listens there."""
    said = comments_in(ports, "Ports")
    rows = [(str(field.default), code(field.name), said[field.name]) for field in dataclasses.fields(ports.Ports)]
    for _, name, meaning in rows:
        _demand(meaning, f"the port {name} in stack/ports.py")
    return table(("port", "name", "is"), rows)


def settings_tables() -> str:
    """Return a table of variables for each class of settings."""
    return "\n".join(
        f"### {_title(found)}\n\n{inspect.cleandoc(found.__doc__ or '')}\n\n"
        + table(("variable", "default", "means"), _settings_rows(found))
        for found in _settings_classes()
    )


def _settings_classes() -> Iterator[type[BaseSettings]]:
    for found in vars(settings).values():
        if isinstance(found, type) and issubclass(found, BaseSettings) and found.__module__ == settings.__name__:
            yield found
            if found is settings.RegistrySettings:
                yield PocketRegistrySettings


def _title(found: type[BaseSettings]) -> str:
    return {
        "PostgresSettings": "PostgreSQL",
        "MongoSettings": "MongoDB",
        "RedisSettings": "Redis",
        "KafkaSettings": "Kafka",
        "RegistrySettings": "Schema registry",
        "PocketRegistrySettings": "Pocket schema registry",
        "EventStoreSettings": "Event store",
        "TelemetrySettings": "Logs, spans and metrics",
        "GatewaySettings": "Gateway",
        "LaneSettings": "Lanes",
        "MigrationSettings": "Migration",
        "MonitorSettings": "Monitor",
    }.get(found.__name__, found.__name__.removesuffix("Settings"))


def _settings_rows(found: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    said = comments_in(sys.modules[found.__module__], found.__name__)
    file = f"{found.__module__.replace('.', '/')}.py"
    for name, field in found.model_fields.items():
        meaning = _demand(said.get(name, ""), f"the setting {found.__name__}.{name} in {file}")
        yield code(variable(found, name, field)), _default(field), _with_choices(meaning, field)


def _default(field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(value, Enum):
        return code(str(value.value))
    if isinstance(value, bool):
        return code(json.dumps(value))
    return code(str(value)) or "empty"


def _with_choices(meaning: str, field: FieldInfo) -> str:
    """Return a comment as a sentence, with the values that the setting takes where they are listed."""
    meaning = meaning[0].upper() + meaning[1:].removesuffix(".")
    if get_origin(field.annotation) is not Literal:
        return f"{meaning}."
    return f"{meaning}: {codes(map(str, get_args(field.annotation)))}."


def _demand(meaning: str, what: str) -> str:
    if not meaning:
        raise UndocumentedError(f"{what} has no comment beside it: say there what it is")
    return meaning
