"""Kafka's errors, by the names that librdkafka gives them: those with an underscore in front are its own.

https://kafka.apache.org/protocol#protocol_error_codes
"""

from typing import Final

from confluent_kafka import KafkaError

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, by_code, verdict

_WAIT, _REFUSE, _STOP = ErrorClass.WAIT, ErrorClass.REFUSE, ErrorClass.STOP

RULES: Final = (
    Rule(("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"), _REFUSE, "the record is larger than the topic takes"),
    Rule(("INVALID_RECORD", "POLICY_VIOLATION"), _REFUSE, "a rule of the broker's refuses the record"),
    Rule(("_FATAL", "_FENCED", "FENCED_INSTANCE_ID"), _STOP, "the client can go on no more"),
    Rule(
        ("TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"),
        _WAIT,
        "the broker refuses the privilege",
    ),
    Rule(("SASL_AUTHENTICATION_FAILED", "_AUTHENTICATION"), _WAIT, "the broker refuses the user or the password"),
    Rule(("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"), _WAIT, "the topic does not exist"),
    Rule(("NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"), _WAIT, "not enough replicas have the partition"),
    Rule(("KAFKA_STORAGE_ERROR",), _WAIT, "the broker cannot write to its disk"),
    Rule(("INVALID_TIMESTAMP",), _WAIT, "the broker's clock and this machine's are too far apart"),
    Rule(("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET"), _WAIT, "the topic no longer has what was to be read next"),
    Rule(
        ("_ALL_BROKERS_DOWN", "_TRANSPORT", "_RESOLVE", "_MSG_TIMED_OUT", "_TIMED_OUT"), _WAIT, "Kafka does not answer"
    ),
    Rule(("_PURGE_QUEUE", "_PURGE_INFLIGHT"), _WAIT, "the client gave the record back"),
    Rule(("_QUEUE_FULL",), _WAIT, "too many records wait for Kafka"),
)
FATAL: Final = Rule(("any that librdkafka calls fatal",), _STOP, "the client can go on no more")
DEFAULT: Final = Rule(("any other",), _WAIT, "Kafka refuses for the moment")

_BY_CODE: Final = by_code(RULES)


def classify_kafka(error: KafkaError) -> ErrorVerdict:
    """Return what to do about an error of librdkafka's, of a record or of the client as a whole."""
    return verdict(FATAL if error.fatal() else _BY_CODE.get(error.name(), DEFAULT), error.name())
