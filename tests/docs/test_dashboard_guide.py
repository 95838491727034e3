"""The guide to the dashboard has every page of its navigation: a section, and a picture that says what it shows."""

import re
from html import unescape
from pathlib import Path
from typing import Final

from tests.support.monitor_pages import opened_pages
from tests.ui.screenshots import FOLDER, page_name

_GUIDE: Final = Path(__file__).parents[2] / "docs" / "running" / "dashboard.md"
_LINK: Final = re.compile(r'<li><a href="(/[^"]*)"[^>]*>([^<]+)</a></li>')
_PICTURE: Final = re.compile(r"^!\[([^\]]*)\]\(\.\./images/dashboard/([\w-]+)\.webp\)", re.MULTILINE)
_ALL_MAX_BYTES: Final = 1_500_000


async def test_every_page_has_its_section_and_its_picture(tmp_path: Path) -> None:
    """A new page has none yet: write its section, and run `python -m tests.ui.screenshots`."""
    async with opened_pages(tmp_path) as opened:
        navigation = (await opened.client.get("/operations?lang=en")).text.partition("<nav")[2].partition("</ul>")[0]
    pages = [(path, unescape(title)) for path, title in _LINK.findall(navigation)]
    assert len(pages) >= 8
    sections = dict(
        section.split("\n", 1)
        for section in re.split(r"^## ", _GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    )
    for path, title in pages:
        assert title in sections, f"{_GUIDE.name} has no section on {path}"
        assert page_name(path) in {name for _, name in _PICTURE.findall(sections[title])}, path


def test_every_picture_is_there_small_and_described() -> None:
    """For those who cannot see it, in words of its own; together the pictures are no burden to a clone."""
    pictures = _PICTURE.findall(_GUIDE.read_text(encoding="utf-8"))
    assert {name for _, name in pictures} == {path.stem for path in FOLDER.glob("*.webp")}
    words = [alt for alt, _ in pictures]
    assert all(len(alt) > 15 for alt in words)
    assert len(set(words)) == len(words)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.webp")) <= _ALL_MAX_BYTES
