"""The tables of what is done about the errors of each engine, made of the rules themselves."""

from collections.abc import Mapping, Sequence
from typing import Final

from contracts.reference.markdown import code, table
from mesh.error_classes import event_store, kafka, mongodb, otlp, postgresql, redis, registry
from mesh.error_classes.classes import Rule

_Rules = Sequence[Rule]

# In the order of each table: the most particular codes first, and what holds for all others last. What is no code, but
# a description, stands in no code font.
TABLES: Final[Mapping[str, tuple[_Rules, _Rules]]] = {
    "postgresql": (postgresql.RULES, (postgresql.AWAY, postgresql.DEFAULT)),
    "mongodb": (mongodb.RULES, (mongodb.AWAY, mongodb.UNFIT, mongodb.DEFAULT)),
    "redis": (redis.RULES, (redis.AWAY, redis.DEFAULT)),
    "registry": ((), (*registry.RULES, registry.DEFAULT)),
    "kafka": (kafka.RULES, (kafka.FATAL, kafka.DEFAULT)),
    "event-store": (event_store.RULES, (event_store.TOO_LARGE, event_store.IMMENSE, event_store.DEFAULT)),
    "sqlite": (event_store.SQLITE_RULES, (event_store.SQLITE_VALUE, event_store.SQLITE_DEFAULT)),
    "jaeger": (otlp.RULES, (otlp.DEFAULT,)),
}
_LABELS: Final[Mapping[str, _Rules]] = {"mongodb": (mongodb.LABELS,)}


def error_class_table(engine: str) -> str:
    """Return what is done about an engine's errors, by their codes; `engine` is a key of `TABLES`."""
    by_code, by_description = TABLES[engine]
    rows = [_row(rule, ", ".join(map(code, rule.codes))) for rule in (*by_code, *_LABELS.get(engine, ()))]
    rows += [_row(rule, ", ".join(rule.codes)) for rule in by_description]
    return table(("error", "class", "it says that"), rows)


def _row(rule: Rule, codes: str) -> tuple[str, str, str]:
    at_once = ", after some tries at once" if rule.at_once else ""
    return codes, rule.error_class.value + at_once, rule.cause
