"""The documentation's website in a checkout: whether it is there, and building it while nobody waits for anything else.

MkDocs is among the tools of the tests, not of the platform: with its theme it is 12,000 files more to install for
whoever only starts the platform. Where it is there, the website is built when somebody first asks for it.
"""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog

CHECKOUT: Final = Path(__file__).parents[2]
_SOURCES: Final = ("mkdocs.yml", "docs", "proto")
_BUILD_TIMEOUT_S: Final = 300.0
_TOLD_MAX: Final = 2000  # characters of what went wrong

log = structlog.stdlib.get_logger(__name__)


def built_folder(checkout: Path) -> Path:
    """Return where a checkout's website is, as mkdocs.yml has it."""
    return checkout / "build" / "site"


def build_command(into: Path) -> list[str]:
    """Return the command that builds the website of the checkout that it runs in."""
    return [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(into)]


def build_environment() -> dict[str, str]:
    """Return the environment of the command: without the announcement of the theme's makers."""
    return {**os.environ, "NO_MKDOCS_2_WARNING": "1"}


def fresh_folder(built: Path) -> Path:
    """Return where this process builds a website, beside the one that there is."""
    return built.with_name(f"{built.name}.new.{os.getpid()}")


def put_in_place(fresh: Path, built: Path) -> None:
    """Put a website that has just been built in the place of the one before. Raises OSError."""
    old = built.with_name(f"{built.name}.old.{os.getpid()}")
    with suppress(FileNotFoundError):
        built.rename(old)
    fresh.rename(built)
    shutil.rmtree(old, ignore_errors=True)


class DocsBuild:
    """The website, and the one building of it that may be under way."""

    def __init__(self, checkout: Path = CHECKOUT) -> None:
        """`checkout` has the sources; an installed package has none, and may have a website."""
        self._checkout = checkout
        self.folder = built_folder(checkout)
        self.fault = ""  # why it could not be built
        self._task: asyncio.Task[None] | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is one to read."""
        return (self.folder / "index.html").is_file()

    @property
    def is_being_built(self) -> bool:
        """Whether one is on its way."""
        return self._task is not None and not self._task.done()

    def want(self) -> None:
        """Begin to build the website where it is missing or older than its sources, and can be built. Tried once."""
        if self._task is None and self._can_be_built() and not (self.is_there and self._is_current()):
            self._task = asyncio.get_running_loop().create_task(self._build())

    def close(self) -> None:
        """Stop building."""
        if self._task is not None:
            self._task.cancel()

    def _can_be_built(self) -> bool:
        return find_spec("mkdocs") is not None and (self._checkout / "mkdocs.yml").is_file()

    def _is_current(self) -> bool:
        built = (self.folder / "index.html").stat().st_mtime
        sources = [self._checkout / name for name in _SOURCES]
        files = [path for source in sources for path in (source, *source.rglob("*")) if path.is_file()]
        return all(path.stat().st_mtime <= built for path in files)

    async def _build(self) -> None:
        fresh = fresh_folder(self.folder)
        try:
            async with asyncio.timeout(_BUILD_TIMEOUT_S):
                returncode, told = await self._run(build_command(fresh))
            if returncode == 0:
                await asyncio.to_thread(put_in_place, fresh, self.folder)
            else:
                self.fault = told[-_TOLD_MAX:] or f"mkdocs ended with {returncode}"
        except TimeoutError:
            self.fault = f"mkdocs took more than {_BUILD_TIMEOUT_S:.0f} s"
        except OSError as error:
            self.fault = str(error)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        log.info("documentation built" if not self.fault else "the documentation cannot be built", error=self.fault)

    async def _run(self, command: list[str]) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._checkout,
            env=build_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        return process.returncode or 0, said.decode("utf-8", "replace").strip()
