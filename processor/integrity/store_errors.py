"""A store's errors, under the store's name."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mesh.errors import PolystreamError


@contextmanager
def under_its_name(store: str, translated: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Raise the store's errors under its name."""
    try:
        with translated():
            yield
    except PolystreamError as error:
        message = f"{store} does not answer: start it, or check its settings"
        raise PolystreamError(error.reason, message, metadata=error.metadata) from error
