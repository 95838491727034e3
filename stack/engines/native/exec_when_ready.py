"""Become a program once an HTTP server answers a GET with 200.

A script of the standard library, run by `python -I -S` with URL TIMEOUT_S PROGRAM ARGUMENTS: for a program that ends
where what it needs is not there yet. Exits with 1 when the time is up.
"""

import os
import sys
import time
from http import HTTPStatus
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

_PAUSE_S = 0.1
_ANSWER_TIMEOUT_S = 2.0


def answers(url: str) -> bool:
    """Ask once. No proxy is asked: what is waited for is on this machine."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_ANSWER_TIMEOUT_S) as response:
            return bool(response.status == HTTPStatus.OK)
    except (URLError, OSError):
        return False


def main(arguments: list[str]) -> None:
    """Wait, then become the program."""
    url, timeout_s, *argv = arguments
    give_up_s = time.monotonic() + float(timeout_s)
    while not answers(url):
        if time.monotonic() > give_up_s:
            sys.exit(f"{url} has not answered for {timeout_s} s")
        time.sleep(_PAUSE_S)
    os.execv(argv[0], argv)  # noqa: S606 - the whole purpose; no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
