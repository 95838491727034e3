"""What a run says where it can't read what there is in the end."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from pymongo.errors import ServerSelectionTimeoutError
from redis.exceptions import ConnectionError as RedisConnectionError

from cli.verify import collecting
from cli.verify.collecting import collect
from cli.verify.platform import VerifyError
from mesh.topic_reader import TopicError

_ERRORS = {
    "postgresql": psycopg.OperationalError("refused"),
    "mongodb": ServerSelectionTimeoutError("refused"),
    "redis": RedisConnectionError("refused"),
    "kafka": TopicError("refused"),
}


@pytest.mark.parametrize("engine", _ERRORS)
def test_a_store_that_does_not_come_back_is_told(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence, with all that is not well."""

    def read(*_: object) -> Any:
        raise _ERRORS[engine]

    monkeypatch.setattr(collecting, "_read_topics" if engine == "kafka" else "read_tables", read)
    if engine != "kafka":
        monkeypatch.setattr(collecting, "_read_topics", lambda *_: ({}, {}, []))
    anything: Any = SimpleNamespace(given_up=set())
    with pytest.raises(VerifyError, match=r"can't be read: refused; redis is not ready"):
        collect(anything, anything, {}, anything, ["redis is not ready"])
