"""The handlers: one module a command, in it one function a store, both found by name.

`CreateUser` in PostgreSQL is `processor.handlers.create_user.postgresql`. A handler is given the deliveries of one
command, in the order of their offsets, and its store's client; it returns one outcome a delivery (in Redis one plan),
in the same order. In PostgreSQL no two of them have the same key; elsewhere several may, if nothing else of the key
came between them.
"""

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from mesh.catalog import Catalog, Command

# What a handler takes beside the deliveries differs from store to store: each store names its own type.
AnyHandler = Callable[..., Any]

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def module_name(command_name: str) -> str:
    """Return the name of a command's module: `CreateUser` is in `create_user`."""
    return _WORD_START.sub("_", command_name).lower()


def find_handler(command: Command, store: str) -> AnyHandler:
    """Return the function that applies a command in a store. Raises LookupError, saying where it was looked for."""
    path = f"{__name__}.{module_name(command.name)}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise LookupError(f"{command.name} has no handler module {path}") from error
    handler: AnyHandler | None = getattr(module, store.lower(), None)
    if handler is None:
        raise LookupError(f"{path} has no function {store.lower()}, which applies {command.name} in {store}")
    return handler


def find_handlers(catalog: Catalog, store: str) -> Mapping[str, AnyHandler]:
    """Return the handlers of every command that a store applies, by the command's name. Raises LookupError."""
    return {name: find_handler(command, store) for name, command in catalog.for_store(store).items()}
