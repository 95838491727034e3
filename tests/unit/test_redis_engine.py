"""Which server may take over the files of which."""

from pathlib import Path

import pytest

from mesh.settings import PostgresSettings
from stack.engines.part import PartError, Site
from stack.engines.redis import make_engine
from stack.ports import Ports

_VALKEY = make_engine(lambda: "/somewhere/valkey-server")
_REDIS = make_engine(lambda: "/elsewhere/redis-server")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A platform without data."""
    return Site(tmp_path, Ports(), PostgresSettings(_env_file=None))


def test_redis_leaves_valkeys_files_alone(site: Site) -> None:
    """It could not read them: the refusal names the folder and a remedy, and Valkey still takes them."""
    _VALKEY.prepare(site)
    with pytest.raises(PartError, match=r"written by Valkey.*--data-dir"):
        _REDIS.prepare(site)
    _VALKEY.prepare(site)


def test_valkey_takes_over_from_redis(site: Site) -> None:
    """Whose files it reads; from then on they are its own."""
    _REDIS.prepare(site)
    _REDIS.prepare(site)
    _VALKEY.prepare(site)
    with pytest.raises(PartError):
        _REDIS.prepare(site)
