"""`replay`: a store that is built anew beside the live one, by the command itself."""

import json
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis

from tests.acceptance.conftest import Finished
from tests.support.platform import Platform

_CONTENT = {"title": "Central do Brasil", "kind": "MOVIE"}
_DATABASE = 9  # of the platform's own Redis, which works on 0


@pytest.mark.timeout(180)
def test_a_store_is_built_anew_beside_the_live_one(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """A dry run only counts; a target that holds something is refused until somebody says so; the live one stays."""
    address = urlsplit(str(platform.endpoints["redis"]))
    target = address._replace(path=f"/{_DATABASE}").geturl()
    accepted = rest.post("/v1/contents/70123", json=_CONTENT).raise_for_status().json()
    assert finished(accepted["correlation_id"])["state"] == "SUCCEEDED"
    with Redis.from_url(target, decode_responses=True) as redis:
        redis.flushdb()
        counted = platform.command("replay", "--store", "redis", "--into", target, "--dry-run", "--json")
        assert counted.returncode in {0, 1}, counted.stderr
        assert json.loads(counted.stdout)["store"] == "REDIS"
        assert redis.dbsize() == 0
        try:
            # What other tests have done to the shared platform may be missing there: that is 1.
            built = platform.command("replay", "--store", "redis", "--into", target)
            assert built.returncode in {0, 1}, built.stderr
            assert redis.hget("conteudo:70123", "titulo") == _CONTENT["title"]
            refused = platform.command("replay", "--store", "redis", "--into", target)
            assert refused.returncode == 2
            assert "--overwrite" in refused.stderr
            again = platform.command("replay", "--store", "redis", "--into", target, "--overwrite", "--json")
            assert again.returncode in {0, 1}, again.stderr
            assert redis.hget("conteudo:70123", "titulo") == _CONTENT["title"]
        finally:
            redis.flushdb()
    assert rest.get("/v1/contents/70123").raise_for_status().json()["title"] == _CONTENT["title"]
