"""What axe-core finds on a page that keeps people from using it."""

from collections.abc import Sequence
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.npm_tools import axe

_SERIOUS: Final = {"serious", "critical"}


def serious_faults(page: Page) -> Sequence[Any]:
    """Return what is serious or worse, by axe's rules, with the elements concerned."""
    page.evaluate(axe().read_text(encoding="utf-8"))
    violations = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in violations
        if each["impact"] in _SERIOUS
    ]
