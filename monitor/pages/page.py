"""One page of the monitor's."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows now: the values of its template."""

    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200  # of HTTP
    has_ended: bool = False  # nothing on it will change any more


@dataclass(frozen=True, slots=True)
class DashboardPage:
    """A page with an address of its own.

    Its template extends `layout`: the whole page, or what changes on it. That is in the block `live`, which is rendered
    again every `interval_s` seconds while somebody looks; None for a page that stands still. `view` raises
    PolystreamError for what it can't show. Its texts are those of `texts/<language>/<name>.toml`.
    """

    name: str  # `name.title` is its title, in the navigation too
    path: str  # as Starlette's routes have it
    view: Callable[[Request], Awaitable[Shown]]
    interval_s: float | None = None
    in_navigation: bool = True
    methods: tuple[str, ...] = ("GET",)  # of HTTP
    section: str = ""  # the page that the navigation marks in its place; itself by default

    @property
    def template(self) -> str:
        """The file below `templates/`."""
        return f"{self.name}.html"
