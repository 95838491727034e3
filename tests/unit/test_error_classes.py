"""The tables of errors: every rule is reached, and what nobody has heard of is not taken for something else."""

import sqlite3
from typing import Any

import grpc
import psycopg
import pytest
import redis.exceptions as redis_errors
from confluent_kafka import KafkaError
from pymongo import errors as mongo_errors

from contracts.reference.error_classes import TABLES, error_class_table
from mesh.error_classes.classes import ErrorClass, Rule, by_code
from mesh.error_classes.event_store import classify_event_store, classify_sqlite
from mesh.error_classes.kafka import classify_kafka
from mesh.error_classes.mongodb import classify_mongodb
from mesh.error_classes.otlp import classify_otlp
from mesh.error_classes.postgresql import classify_postgresql
from mesh.error_classes.redis import classify_redis
from mesh.error_classes.registry import classify_registry

WAIT, REFUSE, SET_APART, STOP = ErrorClass.WAIT, ErrorClass.REFUSE, ErrorClass.SET_APART, ErrorClass.STOP


@pytest.mark.parametrize("engine", TABLES)
def test_every_rule_is_in_the_documentation(engine: str) -> None:
    """By its codes, with its class and cause; the last row is what holds for all other errors."""
    by_codes, by_description = TABLES[engine]
    text = error_class_table(engine)
    assert by_description[-1].codes[0].startswith("any other")
    for rule in (*by_codes, *by_description):
        assert rule.cause in text
        assert all(code in text for code in rule.codes)


def test_no_code_has_two_rules() -> None:
    """The second one would never be asked."""
    with pytest.raises(ValueError, match="two rules claim 42"):
        by_code((Rule(("42",), WAIT, "a"), Rule(("42",), STOP, "b")))


@pytest.mark.parametrize(
    ("state", "expected", "at_once"),
    [
        *[(state, WAIT, False) for state in ("08006", "0A000", "25006", "28P01", "3D000", "42501", "42P01", "42703")],
        *[(state, WAIT, False) for state in ("53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03")],
        *[(state, WAIT, False) for state in ("58030", "XX001")],
        *[(state, WAIT, True) for state in ("40001", "40P01")],
        ("23505", SET_APART, True),
        *[(state, SET_APART, False) for state in ("22003", "22001", "22P02", "23502", "23503", "23514", "54000")],
        *[(state, SET_APART, False) for state in ("42601", "P0001", "ZZ999")],
    ],
)
def test_postgresql(state: str, expected: ErrorClass, at_once: bool) -> None:
    """By SQLSTATE, or by its class."""
    error = psycopg.DatabaseError("with a value")
    error.sqlstate = state
    found = classify_postgresql(error)
    assert (found.error_class, found.at_once) == (expected, at_once)
    assert state in found.cause
    assert "value" not in found.cause.replace("a value", "")


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('FATAL:  password authentication failed for user "ana"', "28P01"),
        ('FATAL:  database "secret" does not exist', "3D000"),
        ('FATAL:  pg_hba.conf rejects connection for host "10.0.0.1", user "ana", no encryption', "28000"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "ana", no encryption', "28000"),
        ("FATAL:  sorry, too many clients already", "53300"),
        ("FATAL:  the database system is starting up", "57P03"),
        ("connection refused", "OperationalError"),
    ],
)
def test_postgresql_that_cannot_be_connected_to(text: str, state: str) -> None:
    """Waited for, and nobody's name or password is told."""
    found = classify_postgresql(psycopg.OperationalError(f"connection failed: {text}"))
    assert found.waits
    assert found.cause.endswith(f"({state})")
    assert not {"ana", "secret"} & set(found.cause.replace('"', " ").split())


def _failed(code: int, message: str = "m", *labels: str) -> mongo_errors.OperationFailure:
    return mongo_errors.OperationFailure(message, code, {"errorLabels": list(labels)})


def _bulk(*codes: int, concern: int | None = None) -> mongo_errors.BulkWriteError:
    details: dict[str, Any] = {"writeErrors": [{"code": code, "errmsg": "m"} for code in codes]}
    details["writeConcernErrors"] = [] if concern is None else [{"code": concern, "errmsg": "m"}]
    return mongo_errors.BulkWriteError(details)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *[(_failed(code), WAIT) for code in (13, 18, 50, 91, 112, 262, 10107, 11600, 14031, 1)],
        *[(_failed(code), SET_APART) for code in (2, 14, 121, 11000, 10334, 987_654)],
        (_failed(2, "No space left on device"), WAIT),
        (_failed(987_654, "m", "RetryableWriteError"), WAIT),
        (_failed(11000, "m", "TransientTransactionError"), WAIT),
        (_bulk(11000, 14031), WAIT),
        (_bulk(11000, 121), SET_APART),
        (_bulk(concern=64), WAIT),
        (_bulk(concern=987_654), WAIT),
        (_bulk(), SET_APART),
        (mongo_errors.ServerSelectionTimeoutError("m"), WAIT),
        (mongo_errors.NotPrimaryError("m"), WAIT),
        (mongo_errors.ExecutionTimeout("m", 50), WAIT),
    ],
    ids=str,
)
def test_mongodb(error: mongo_errors.PyMongoError, expected: ErrorClass) -> None:
    """By code, by label, and of a bulk by the error that is waited for, if there is one."""
    assert classify_mongodb(error).error_class is expected


@pytest.mark.parametrize(
    ("error", "expected", "word"),
    [
        (redis_errors.OutOfMemoryError("command not allowed"), WAIT, "OOM"),
        (redis_errors.ReadOnlyError("You can't write"), WAIT, "READONLY"),
        (redis_errors.AuthenticationError("invalid username-password pair"), WAIT, "NOAUTH"),
        (redis_errors.NoPermissionError("no permissions"), WAIT, "NOPERM"),
        (redis_errors.BusyLoadingError("loading"), WAIT, "LOADING"),
        (redis_errors.ClusterDownError("down"), WAIT, "CLUSTERDOWN"),
        (redis_errors.ResponseError("MISCONF Redis is configured to save"), WAIT, "MISCONF"),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas"), WAIT, "NOREPLICAS"),
        (redis_errors.ResponseError("Error running script: @user_script:3: -OOM not allowed"), WAIT, "OOM"),
        (redis_errors.ConnectionError("max number of clients reached"), WAIT, "max number of clients reached"),
        (redis_errors.ConnectionError("refused"), WAIT, "ConnectionError"),
        (redis_errors.TimeoutError("late"), WAIT, "TimeoutError"),
        (redis_errors.ResponseError("WRONGTYPE Operation against a key"), SET_APART, "WRONGTYPE"),
        (
            redis_errors.ResponseError("Command # 1 (HSET k -OOM x) of pipeline caused error: WRONGTYPE Operation"),
            SET_APART,
            "WRONGTYPE",
        ),
        (redis_errors.ResponseError("ERR value is not an integer"), SET_APART, "ResponseError"),
    ],
    ids=str,
)
def test_redis(error: redis_errors.RedisError, expected: ErrorClass, word: str) -> None:
    """By the word in front, wherever a client or a script has put it; a command's values say nothing."""
    found = classify_redis(error)
    assert found.error_class is expected
    assert found.cause.endswith(f"({word})")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, 40403, SET_APART),
        (409, 409, REFUSE),
        (422, 42201, REFUSE),
        (404, 40401, WAIT),
        (404, None, WAIT),
        (409, None, WAIT),
        (422, "42201", WAIT),
        (500, 50001, WAIT),
        (502, 40403, WAIT),
        (401, 40101, WAIT),
        (429, 42901, WAIT),
        (308, None, WAIT),
        (200, None, WAIT),
    ],
)
def test_the_registry(status: int, code: object, expected: ErrorClass) -> None:
    """By Confluent's code under the status that it comes with."""
    answer = None if code is None else {"error_code": code}
    assert classify_registry(status, answer).error_class is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, REFUSE),
        (KafkaError.INVALID_RECORD, REFUSE),
        (KafkaError.POLICY_VIOLATION, REFUSE),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, WAIT),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, WAIT),
        (KafkaError.NOT_ENOUGH_REPLICAS, WAIT),
        (KafkaError.OFFSET_OUT_OF_RANGE, WAIT),
        (KafkaError._FATAL, STOP),
        (KafkaError.FENCED_INSTANCE_ID, STOP),
        (KafkaError.REQUEST_TIMED_OUT, WAIT),
    ],
)
def test_kafka(code: int, expected: ErrorClass) -> None:
    """By name; what librdkafka calls fatal ends the client whatever its name is."""
    assert classify_kafka(KafkaError(code)).error_class is expected
    assert classify_kafka(KafkaError(code, "r", True)).error_class is STOP


def _error(kind: str, reason: str = "", **caused_by: Any) -> dict[str, Any]:
    return {"type": kind, "reason": reason, **({"caused_by": caused_by} if caused_by else {})}


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, _error("mapper_parsing_exception"), SET_APART),
        (400, _error("strict_dynamic_mapping_exception"), SET_APART),
        (400, _error("illegal_argument_exception", "Document contains at least one immense term"), SET_APART),
        (400, _error("illegal_argument_exception", "no write index is defined"), WAIT),
        (400, _error("validation_exception", "maximum shards open"), WAIT),
        (400, _error("never_heard_of_exception"), WAIT),
        (403, _error("cluster_block_exception"), WAIT),
        (429, _error("cluster_block_exception"), WAIT),
        (429, _error("es_rejected_execution_exception"), WAIT),
        (429, _error("mapper_parsing_exception"), WAIT),
        (404, _error("index_not_found_exception"), WAIT),
        (413, None, SET_APART),
        (503, None, WAIT),
        (401, None, WAIT),
    ],
)
def test_the_event_store(status: int, error: dict[str, Any] | None, expected: ErrorClass) -> None:
    """By the type of the error: a status below 500 alone makes nothing unfit."""
    assert classify_event_store(status, error).error_class is expected


def test_sqlite() -> None:
    """By the primary result code; a value that SQLite cannot hold is the event's fault."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO t VALUES (1)")
    for statement, values, expected in (
        ("INSERT INTO t VALUES (1)", (), SET_APART),
        ("INSERT INTO t VALUES (?)", (2**80,), SET_APART),
        ("INSERT INTO nothing VALUES (1)", (), WAIT),
    ):
        with pytest.raises((sqlite3.Error, OverflowError)) as raised:
            db.execute(statement, values)
        assert classify_sqlite(raised.value).error_class is expected
    db.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.Error) as refused:
        db.execute("INSERT INTO t VALUES (2)")
    assert classify_sqlite(refused.value).waits
    db.close()


@pytest.mark.parametrize("code", grpc.StatusCode, ids=lambda code: code.name)
def test_jaeger(code: grpc.StatusCode) -> None:
    """What a repetition may mend is waited for, within the queue's bound."""
    refused = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "ALREADY_EXISTS"}
    refused |= {"FAILED_PRECONDITION"}
    assert classify_otlp(code).error_class is (REFUSE if code.name in refused else WAIT)
