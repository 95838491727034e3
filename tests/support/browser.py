"""A browser for tests: Chromium from Debian, driven by Playwright's own driver."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_INSTALL: Final = ("apt-get update -qq", "apt-get install -y -qq --no-install-recommends chromium")
_INSTALL_TIMEOUT_S: Final = 300
# What a browser does by itself needs a network, which tests do not have.
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the path of a browser, installed where this is root on Debian.

    Raises AssertionError, with the command to run, where there is none.
    """
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in _INSTALL:
            subprocess.run(command.split(), capture_output=True, timeout=_INSTALL_TIMEOUT_S, check=False)
        found = _installed()
    assert found, "there is no Chromium: install it, for instance with `sudo apt-get install chromium`"
    return found


def _installed() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a headless browser with a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS), headless=True)
        try:
            yield browser
        finally:
            browser.close()
