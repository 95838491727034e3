"""The indices of the event log in OpenSearch, and the templates that give new ones their mappings."""

from collections.abc import Sequence
from typing import Any, Final

from monitor.listing.fields import ATTRIBUTE_PAIRS

EVENTS: Final = "api_events"  # daily: api_events-2026.01.31
SPANS: Final = "api_spans"  # daily too
OPERATIONS: Final = "api_operations"  # one, since an operation goes on after midnight

SEARCH_VERSION: Final = 1  # of what an operation's document can be found by; documents without one are from before

# Never analyzed: it is found as a whole or not at all. Anybody may send one of any length.
_IDENTIFIER: Final = {"type": "keyword", "ignore_above": 512}
_NAME: Final = {"type": "keyword", "ignore_above": 256}
_SENTENCE: Final = {"type": "keyword", "ignore_above": 1024}
_MILLISECONDS: Final = {"type": "double"}

_EVENT_FIELDS: Final[dict[str, Any]] = {
    "event_id": _IDENTIFIER,
    "correlation_id": _IDENTIFIER,
    "transaction_id": _IDENTIFIER,
    "event_type": _NAME,
    "status": _NAME,
    "timestamp": {"type": "date"},
    "service": _NAME,
    "store": _NAME,
    "command": _NAME,
    "user_id": _IDENTIFIER,
    "topic": _NAME,
    "partition": {"type": "integer"},
    "offset": {"type": "long"},
    "duration_ms": _MILLISECONDS,
    "trace_id": _IDENTIFIER,
    "error": _SENTENCE,
    "reason": _NAME,  # the error without its sentence, to count by
    # Read with the event, and found by its reason.
    "error_status": {"type": "object", "enabled": False},
    "duplicate": {"type": "boolean"},
    "dead_lettered": {"type": "boolean"},
    "command_partition": {"type": "integer"},
    "command_offset": {"type": "long"},
    "waits_behind": _IDENTIFIER,
    "principal": _NAME,
    "justification": _SENTENCE,
    "sampled": {"type": "boolean"},
}
_OPERATION_FIELDS: Final[dict[str, Any]] = {
    "correlation_id": _IDENTIFIER,
    "command": _NAME,
    "state": _NAME,
    "user_id": _IDENTIFIER,
    "accept_time": {"type": "date"},
    "complete_time": {"type": "date"},
    "accept_time_us": {"type": "long"},  # the date's own precision is a millisecond, too little to page by
    "duration_ms": _MILLISECONDS,
    "trace_id": _IDENTIFIER,
    "reason": _NAME,
    "error": _SENTENCE,
    "store_states": _NAME,  # what each store has answered: POSTGRESQL=FAILED
    "search_version": {"type": "integer"},
    # The events that the operation adds up to: read with it, and searched for in their own indices.
    "events": {"type": "object", "enabled": False},
}
_SPAN_FIELDS: Final[dict[str, Any]] = {
    "trace_id": _IDENTIFIER,
    "span_id": _IDENTIFIER,
    "parent_span_id": _IDENTIFIER,
    "name": _NAME,
    "service": _NAME,
    "kind": _NAME,
    "start_time": {"type": "date_nanos"},
    "duration_ms": _MILLISECONDS,
    "error": _NAME,  # true or false; of the events' type, since a pattern that fits both can have only one
    "correlation_id": _IDENTIFIER,
    # Their names are anybody's: as fields, `a.b` and `a.b.c` could not stand in one index.
    "attributes": {"type": "object", "enabled": False},
    "attribute_types": {"type": "object", "enabled": False},
    "links": {"type": "object", "enabled": False},
    # So they are found by these, `name` and `name=value`, which are not kept beside them.
    ATTRIBUTE_PAIRS: {"type": "keyword", "ignore_above": 1024, "doc_values": False},
}


def index_templates() -> dict[str, dict[str, Any]]:
    """Return the templates, by name."""
    return {
        "polystream-events": _template(f"{EVENTS}-*", _EVENT_FIELDS),
        "polystream-operations": _template(OPERATIONS, _OPERATION_FIELDS),
        "polystream-spans": _template(f"{SPANS}-*", _SPAN_FIELDS, not_kept=[ATTRIBUTE_PAIRS]),
    }


def _template(pattern: str, fields: dict[str, Any], not_kept: Sequence[str] = ()) -> dict[str, Any]:
    """`not_kept` are fields that are searched, and not in the documents that are read."""
    kept = {"_source": {"excludes": list(not_kept)}} if not_kept else {}
    return {
        "index_patterns": [pattern],
        "priority": 200,  # above the catch-alls that clusters have
        "template": {
            # A replica where there is a second node to hold it.
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            # A field that a later version adds is kept, and searched once the template knows it.
            "mappings": {"dynamic": False, "properties": fields, **kept},
        },
    }
