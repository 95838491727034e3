"""Wraps methods of a service's objects, so that its process comes to the points. The services know nothing of it."""

import functools
import importlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cli.verify.breakpoints.points import GATEWAY, Breakpoint, BreakpointFolder

_STORES: Final = {
    "postgresql": "processor.stores.postgresql:PostgresStore",
    "mongodb": "processor.stores.mongodb:MongoStore",
    "redis": "processor.stores.redis:RedisStore",
}
_FAILING_SHARE: Final = 3  # of the keys, one in so many


class HandlerFailure(Exception):  # noqa: N818 - its name is told in the dead letter, as any exception's
    """What a handler raises where the self-check has it fail."""


@dataclass(frozen=True, slots=True)
class WrappedMethod:
    """A method, and the point that its caller comes to before or after it, where what passes says so."""

    method: str  # module:Class.method
    point: Breakpoint
    before: Callable[..., bool] | None = None  # given the arguments, without the object
    after: Callable[..., bool] | None = None  # given what is returned, and then the arguments


def wrapped_methods(where: str) -> tuple[WrappedMethod, ...]:
    """Return the methods of a lane, by its store in lower case, or of the gateway."""
    if where == GATEWAY:
        return (WrappedMethod("gateway.commands:CommandPath.settle", Breakpoint.BEFORE_ANSWER, before=_is_in_kafka),)
    its = _STORES[where]
    write = "apply" if where == "postgresql" else "apply_decided"
    mongodb = (WrappedMethod(f"{its}._take_back", Breakpoint.BEFORE_MARK, after=lambda _, applied: bool(applied)),)
    return (
        WrappedMethod(f"{its}.{write}", Breakpoint.BEFORE_WRITE, before=lambda batch, *_: bool(batch)),
        WrappedMethod(f"{its}.apply", Breakpoint.AFTER_COMMIT, after=lambda answers, *_: _has_applied(answers)),
        WrappedMethod(f"{its}.park", Breakpoint.BEFORE_DEAD_LETTER, after=lambda answers, *_: _has_given_up(answers)),
        WrappedMethod(f"{its}.remove_parked", Breakpoint.BEFORE_LETTING_GO, before=lambda _key, ids: bool(ids)),
        WrappedMethod(
            "processor.lanes.receipts:ReceiptSender.send",
            Breakpoint.AFTER_RECEIPT,
            after=lambda _, applied, *__: _has_receipts(applied),
        ),
        *(mongodb if where == "mongodb" else ()),
    )


def wrap_lane(store: str, folder: BreakpointFolder) -> None:
    """Have a lane's process come to its points."""
    for one in wrapped_methods(store):
        _wrap(one, store, folder)
    _wrap_handlers(_STORES[store], store, folder)


def wrap_gateway(folder: BreakpointFolder) -> None:
    """Have a gateway's process come to its point."""
    for one in wrapped_methods(GATEWAY):
        _wrap(one, GATEWAY, folder)


def find(method: str) -> tuple[Any, str]:
    """Return the class of a method that is named as `module:Class.method`, and the method's own name."""
    module, _, path = method.partition(":")
    owner, _, name = path.partition(".")
    return getattr(importlib.import_module(module), owner), name


def _wrap(one: WrappedMethod, where: str, folder: BreakpointFolder) -> None:
    owner, name = find(one.method)
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, *arguments: Any) -> Any:
        if one.before is not None and one.before(*arguments):
            folder.reach(one.point, where)
        result = original(self, *arguments)
        if one.after is not None and one.after(result, *arguments):
            folder.reach(one.point, where)
        return result

    setattr(owner, name, wrapped)


def _wrap_handlers(store_class: str, store: str, folder: BreakpointFolder) -> None:
    owner, _ = find(f"{store_class}.apply")
    original = owner.apply

    @functools.wraps(original)
    def apply(self: Any, batch: Sequence[Any], overdue: Any) -> Any:
        if any(zlib.crc32(one.key) % _FAILING_SHARE == 0 for one in batch) and folder.fails(store):
            raise HandlerFailure
        return original(self, batch, overdue)

    owner.apply = apply


def _is_in_kafka(pending: Any) -> bool:
    return pending.error is None


def _has_applied(answers: Sequence[Any]) -> bool:
    """Tell whether anything is answered that was not before."""
    return any(getattr(one, "duplicate", True) is False for one in answers)


def _has_given_up(answers: Sequence[Any]) -> bool:
    return any(getattr(one, "dead_lettered", False) for one in answers)


def _has_receipts(applied: Sequence[Any]) -> bool:
    return any(one.receipt is not None for one in applied)
