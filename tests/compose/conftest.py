"""The engines and the image that the tests of compose share."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import image_tree
from tests.support.compose_run import ComposedRun
from tests.support.image_tree import Image

_TASKS = ("provision", "migrate", "edge-config")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Give what the Dockerfile makes."""
    return image_tree.build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def run(image: Image, tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack) -> Iterator[ComposedRun]:
    """Give the native engines, wired as compose.yaml says, after the tasks that prepare them."""
    with ComposedRun(image, tmp_path_factory.mktemp("compose")) as running:
        until_group_ends.callback(running.engines.stop_all)
        for task in _TASKS:
            running.run_task(task)
        yield running
