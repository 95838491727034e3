"""Which server may take over the files of which."""

from pathlib import Path

import pytest

from mesh.settings import PostgresSettings
from stack.engines.redis import make_engine
from stack.engines.spec import StackContext, StackError
from stack.ports import Ports

_VALKEY = make_engine(lambda: "/somewhere/valkey-server")
_REDIS = make_engine(lambda: "/elsewhere/redis-server")


@pytest.fixture
def context(tmp_path: Path) -> StackContext:
    """A platform without data."""
    return StackContext(tmp_path, Ports(), PostgresSettings())


def test_redis_leaves_valkeys_files_alone(context: StackContext) -> None:
    """It could not read them: the refusal names the folder and a remedy, and Valkey still takes them."""
    _VALKEY.prepare(context)
    with pytest.raises(StackError, match=r"written by Valkey.*--data-dir"):
        _REDIS.prepare(context)
    _VALKEY.prepare(context)


def test_valkey_takes_over_from_redis(context: StackContext) -> None:
    """Whose files it reads; from then on they are its own."""
    _REDIS.prepare(context)
    _REDIS.prepare(context)
    _VALKEY.prepare(context)
    with pytest.raises(StackError):
        _REDIS.prepare(context)
