"""One desk for all pages: what is installed once serves them all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.desk import Desk


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def desk(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Lay out a copy of the checkout with everything installed."""
    ready = Desk(repository, tmp_path_factory.mktemp("desk"))
    try:
        yield ready
    finally:
        ready.close()
