"""Queries about viewing history: collection `historico_visualizacao`."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from polystream.v1.views_pb2 import GetViewRequest, ListViewsRequest, ListViewsResponse, View
from pymongo import DESCENDING

from gateway.queries.stores import Stores
from mesh.errors import Reason, not_found
from mesh.pages import QueryPage, foreign_token, page_of
from mesh.store_names.mongodb import VIEWS, ViewDocument
from mesh.stored_enums import KINDS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class ViewQueries:
    """`polystream.v1.ViewService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_view(self, request: GetViewRequest, _context: Any) -> View:
        """Return one view. Raises PolystreamError VIEW_NOT_FOUND."""
        wanted = {"_id": request.view_id.lower(), "user_id": request.user_id}
        document = await self._stores.documents(lambda database: database[VIEWS].find_one(wanted))
        if document is None:
            raise not_found(Reason.VIEW_NOT_FOUND, "view_id")
        return _view(cast(ViewDocument, document))

    async def list_views(self, request: ListViewsRequest, _context: Any) -> ListViewsResponse:
        """Return a page of a user's views, the newest first."""
        page = page_of(request, int, str)
        wanted = {"user_id": request.user_id, **_behind(page)}
        found = await self._stores.documents(
            lambda database: (
                database[VIEWS]
                .find(wanted)
                .sort([("data", DESCENDING), ("_id", DESCENDING)])
                .limit(page.size + 1)
                .to_list()
            )
        )
        documents, more = page.cut(cast(list[ViewDocument], found))
        token = page.token(_milliseconds(documents[-1]["data"]), str(documents[-1]["_id"])) if more else ""
        return ListViewsResponse(views=[_view(document) for document in documents], next_page_token=token)


def _behind(page: QueryPage) -> dict[str, Any]:
    if page.after is None:
        return {}
    milliseconds, view_id = page.after
    try:
        data = _EPOCH + int(milliseconds) * _MILLISECOND
    except OverflowError as error:
        raise foreign_token() from error
    return {"$or": [{"data": {"$lt": data}}, {"data": data, "_id": {"$lt": view_id}}]}


def _milliseconds(data: datetime) -> int:
    return (data - _EPOCH) // _MILLISECOND


def _watch_time(document: ViewDocument) -> datetime | None:
    data = document.get("data")
    return data and data + timedelta(microseconds=document.get("data_microssegundos", 0))


def _view(document: ViewDocument) -> View:
    return View(
        view_id=str(document["_id"]),
        user_id=document["user_id"],
        content_id=document.get("conteudo_id"),
        title=document.get("titulo"),
        kind=KINDS.value(document.get("tipo")),
        watched_seconds=int(document.get("tempo_assistido") or 0),
        position_percent=document.get("posicao"),
        watch_time=_watch_time(document),
        completed=document.get("concluido"),
    )
