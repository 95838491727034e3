"""The benchmark's load generator, for its tests."""

from cli.bench.load import LoadError, find_h2load
from tests.support.debian import install
from tests.support.unavailable import UnavailableError, once


@once
def provide_h2load() -> None:
    """Make sure that h2load is there, installed where this is root on Debian."""
    try:
        find_h2load()
    except LoadError as error:
        install("nghttp2-client")
        try:
            find_h2load()
        except LoadError:
            raise UnavailableError(f"h2load: {error}") from error
