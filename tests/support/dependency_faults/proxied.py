"""States that the proxy before an engine brings about, whichever engine it is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from cli.verify.fault_proxy import Answerer, Behaviour
from tests.support.dependency_faults.cell import Cause
from tests.support.dependency_faults.world import World

LATE_S: Final = 2.5


def killed(engine: str) -> Cause:
    """SIGKILL, and in the end a new start on the same data."""

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        world.engines.kill(engine)
        try:
            yield
        finally:
            world.engines.start(engine)

    return cause


def behaving(engine: str, behaviour: Behaviour, *, delay_s: float = 0.0) -> Cause:
    """Let the proxy behave like that."""

    def cause(world: World) -> AbstractContextManager[None]:
        return world.proxies[engine].set_to(behaviour, delay_s=delay_s)

    return cause


def answering(engine: str, answerer: Answerer, *, closes: bool = True) -> Cause:
    """Let the proxy answer."""

    def cause(world: World) -> AbstractContextManager[None]:
        return world.proxies[engine].set_to(Behaviour.ANSWER, answerer=answerer, closes_after_answer=closes)

    return cause
