"""The native engines, for tests: fetched and prepared once a run."""

from collections.abc import Iterable
from typing import Final

from stack.engines import native
from stack.engines.spec import EngineSpec, StackError
from tests.support.unavailable import UnavailableError, once

_IN_THE_ENVIRONMENT: Final = {"postgresql", "mongodb", "redis"}  # the machine's or a wheel's: nothing to fetch


@once
def provide_native() -> None:
    """Fetch, verify and prepare the native engines. What it does is shown in the output of a test that fails."""
    try:
        native.provide(print)
    except StackError as error:
        raise UnavailableError(f"the native engines: {error}") from error


def provide_for(engines: Iterable[EngineSpec]) -> None:
    """Provide the native engines where one of these has to be fetched."""
    if any(engine in native.NATIVE and engine.name not in _IN_THE_ENVIRONMENT for engine in engines):
        provide_native()
