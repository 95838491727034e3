"""Every command of the documentation does what the page says: it succeeds, and says what is shown."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import Block, blocks_of
from tests.docs.desk import Desk
from tests.support.platform import Platforms

ROOT: Final = Path(__file__).parents[2]
# Beside docs/: what a visitor of the repository reads first. Their sections stand for themselves.
_ELSEWHERE: Final = ("README.md", "README.pt-BR.md", "CONTRIBUTING.md", "sdk/README.md", "deploy/compose/README.md")
# Sections that a test of their own runs, on every engine set.
_RUN_BY: Final = {
    "README.md: A five-minute tour": "tests/acceptance/test_tour.py",
    "README.pt-BR.md: Um passeio de cinco minutos": "tests/docs/test_readmes.py",  # has the same commands
}
_ADDING: Final = "docs/adding-a-command.md"
_STARTS: Final = re.compile(r"^python3 start\.py( up\b| verify\b|\s*(#|$))", re.MULTILINE)
# Programs are run by the checkout's Python, but for the SDK's, which needs nothing of the platform.
_PYTHON: Final = defaultdict(lambda: ".venv/bin/python", {"sdk/README.md": "python3", "docs/sdk.md": "python3"})
# All that is not run, and why: nothing but what a machine without containers, or without the network, can't do.
_CONTAINERS: Final = "needs a container engine"
NOT_RUN: Final = {
    ("CONTRIBUTING.md", "asks the package index"),
    ("docs/running/metrics.md", _CONTAINERS),
    ("docs/running/start.md", _CONTAINERS),
}
# Everything on this page is about containers that run.
_ABOUT_CONTAINERS: Final = "deploy/compose/README.md"


def pages() -> list[str]:
    """Return every page that has commands."""
    site = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    # A page that is another file as a whole is run as that file.
    return [page for page in (*_ELSEWHERE, *site) if (ROOT / page).exists() and page != "docs/sdk.md"]


def blocks_on(page: str) -> list[Block]:
    """Return the blocks of a page."""
    found = blocks_of(ROOT, page)
    return [replace(block, not_run=_CONTAINERS) for block in found] if page == _ABOUT_CONTAINERS else found


def units(*, start: bool) -> list[tuple[str, list[Block]]]:
    """Return what is run in one shell each: a page, or a section of one outside of docs/.

    Those that start a platform by themselves, or those that find one running.
    """
    return [(name, blocks) for name, blocks in _new_units() if _starts(blocks) == start]


def _new_units() -> list[tuple[str, list[Block]]]:
    """Return the units that have anything which the ones before have not, and that no other test runs."""
    seen: set[str] = set()
    found: list[tuple[str, list[Block]]] = []
    for name, blocks in _all_units():
        lines = {line for block in blocks for line in _lines(block)}
        if name not in _RUN_BY and (lines - seen or any(block.output for block in blocks)):
            found.append((name, blocks))
            seen |= lines
    return found


def _all_units() -> list[tuple[str, list[Block]]]:
    grouped: dict[str, list[Block]] = defaultdict(list)
    for page in pages():
        for block in blocks_on(page):
            if page != _ADDING and not block.not_run:
                grouped[f"{page}: {block.section}" if page in _ELSEWHERE else page].append(block)
    return list(grouped.items())


def _starts(blocks: Sequence[Block]) -> bool:
    return any(block.language != "python" and _STARTS.search(block.text) for block in blocks)


def _lines(block: Block) -> list[str]:
    """Return the lines of a block without what is said of them."""
    return re.sub(r"\s+# .*$", "", block.text, flags=re.MULTILINE).splitlines()


def _cases(units_: list[tuple[str, list[Block]]]) -> list[object]:
    return [pytest.param(blocks, id=name) for name, blocks in units_]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("blocks", _cases(units(start=False)))
def test_what_a_page_says_is_so(desk: Desk, platforms: Platforms, blocks: list[Block]) -> None:
    """With the platform running on the native engines, every command and program succeeds, in order."""
    desk.have(platforms.get("native"))
    desk.run(blocks, _PYTHON[blocks[0].page])


@pytest.mark.timeout(400)
@pytest.mark.parametrize("blocks", _cases(units(start=True)))
def test_what_a_page_starts_it_stops(desk: Desk, blocks: list[Block]) -> None:
    """A page that starts a platform by itself leaves none running."""
    desk.have_none()
    desk.run(blocks, _PYTHON[blocks[0].page])
    assert "nothing is running" in desk.run_text("python3 start.py down")


@pytest.mark.timeout(400)
def test_a_command_is_added_as_the_page_says(desk: Desk) -> None:
    """Three files are touched; the contract tests accept them, and the new command runs from REST to its store."""
    desk.have_none()
    desk.run(blocks_of(ROOT, _ADDING), _PYTHON[_ADDING])
    assert "nothing is running" in desk.run_text("python3 start.py down")


def test_what_is_not_run_is_listed(desk: Desk) -> None:
    """Every block that is kept from being run has a reason that stands here too, and is well-formed all the same."""
    kept = [block for page in pages() for block in blocks_on(page) if block.not_run]
    assert {(block.page, block.not_run) for block in kept if block.page != _ABOUT_CONTAINERS} == NOT_RUN
    for block in kept:
        assert desk.syntax_error(block.text) == "", block.place


def test_every_page_with_commands_is_run() -> None:
    """No block is lost between the pages and what is run."""
    elsewhere = dict(_all_units())
    run = [block for _, blocks in _new_units() for block in blocks]
    for name, test in _RUN_BY.items():
        assert (ROOT / test).exists()
        run += elsewhere[name]
    lines = {line for block in run for line in _lines(block)}
    for page in pages():
        for block in blocks_on(page):
            assert block.not_run or page == _ADDING or set(_lines(block)) <= lines, block.place
