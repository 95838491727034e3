"""Lists that come in pages, as asynchronous iterators."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from polystream_sdk.errors import InternalError


class Page(Protocol):
    """What every list's response has."""

    next_page_token: str


PageT = TypeVar("PageT", bound=Page)
ItemT = TypeVar("ItemT")


class Pager(Generic[PageT, ItemT]):
    """A list: iterate over it for its items, over `pages()` for the responses.

    A page is fetched when the iteration comes to it. Every iteration starts anew, and has the errors of the call.
    """

    def __init__(
        self, fetch: Callable[[str], Awaitable[PageT]], items: Callable[[PageT], Sequence[ItemT]], first: str
    ) -> None:
        self._fetch = fetch
        self._items = items
        self._first = first

    async def __aiter__(self) -> AsyncIterator[ItemT]:
        async for page in self.pages():
            for item in self._items(page):
                yield item

    async def pages(self) -> AsyncIterator[PageT]:
        """Yield the responses; `next_page_token` of one continues after it in another call's `page_token`."""
        token = self._first
        while True:
            page = await self._fetch(token)
            yield page
            if not page.next_page_token:
                return
            if page.next_page_token == token:
                raise InternalError("the list does not go on: a page names itself as the next one")
            token = page.next_page_token
