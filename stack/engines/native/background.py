"""Work beside other work that may be left alone: the process ends without waiting for it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future


def in_background(work: Callable[[], None], name: str) -> "Future[None]":
    """Begin to work in a thread of its own. Its result, or its error, is the future's.

    An executor's threads would keep a process that is asked to stop waiting for minutes. The programs that `work`
    has started end with the thread.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done
