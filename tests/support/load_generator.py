"""The benchmark's load generator, for its tests."""

from cli.bench.load import LoadError, provide_generator
from tests.support.unavailable import UnavailableError, once


@once
def provide_load_generator() -> None:
    """Make sure that it is built. Raises UnavailableError."""
    try:
        provide_generator(lambda _: None)
    except LoadError as error:
        raise UnavailableError(f"the load generator: {error}") from error
