"""What a test needs and this machine can't be brought to have."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class UnavailableError(Exception):
    """A tool or an engine can't be provided. The message names it, the cause and the remedy.

    A test that meets it is reported as not run, and fails where `CI` is set: see `tests/conftest.py`.
    """


def once(provide: Callable[P, T]) -> Callable[P, T]:
    """Let a function that provides something do its work once a run: what fails is not tried again for each test."""
    answers: dict[object, T | UnavailableError] = {}

    @functools.wraps(provide)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, tuple(sorted(kwargs.items())))
        if key not in answers:
            try:
                answers[key] = provide(*args, **kwargs)
            except UnavailableError as error:
                answers[key] = error
        answer = answers[key]
        if isinstance(answer, UnavailableError):
            raise answer
        return answer

    return wrapped
