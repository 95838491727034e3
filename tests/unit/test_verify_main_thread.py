"""Work that only the main thread may do is done there, and whoever asked for it is never left waiting."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

import pytest

from cli.verify.main_thread import MainThread

_WAIT_MAX_S = 10.0


def _interrupt() -> None:
    raise KeyboardInterrupt


def _fail() -> None:
    raise ValueError("it cannot be done")


def _asked(main: MainThread, work: Callable[[], None], told: list[BaseException | None]) -> threading.Thread:
    def ask() -> None:
        try:
            main.do(work, _WAIT_MAX_S)
        except (CancelledError, ValueError) as error:
            told.append(error)
        else:
            told.append(None)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_who_asked_is_told_when_the_process_is_interrupted_meanwhile() -> None:
    """Ctrl-C ends the run at once, not when the wait is over."""
    main, told = MainThread(), list[BaseException | None]()
    thread = _asked(main, _interrupt, told)
    with pytest.raises(KeyboardInterrupt):
        main.serve(lambda: False, _WAIT_MAX_S)
    thread.join(_WAIT_MAX_S / 2)
    assert [type(one) for one in told] == [CancelledError]


def test_what_the_work_raises_is_raised_where_it_was_asked_for() -> None:
    """And the main thread goes on."""
    main, told = MainThread(), list[BaseException | None]()
    thread = _asked(main, _fail, told)
    main.serve(lambda: bool(told), _WAIT_MAX_S)
    thread.join(_WAIT_MAX_S)
    assert [type(one) for one in told] == [ValueError]
