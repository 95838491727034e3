"""OpenSearch's states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from tests.support.dependency_faults.cell import Cause
from tests.support.dependency_faults.world import World

_TIMEOUT_S: Final = 30.0


def blocked(indices: str, block: str) -> Cause:
    """Block indices, and in the end unblock them: `read_only_allow_delete` is what a full disk sets."""

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        _set(world, indices, block, value=True)
        try:
            yield
        finally:
            _set(world, indices, block, value=None)

    return cause


def _set(world: World, indices: str, block: str, *, value: bool | None) -> None:
    settings = {f"index.blocks.{block}": value}
    httpx.put(f"{world.opensearch}/{indices}/_settings", json=settings, timeout=_TIMEOUT_S).raise_for_status()
