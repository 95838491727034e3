"""The page of dead letters: what it shows, and redriving and discarding, over a service of the tests' own."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_status import rpc_status
from polystream.admin.v1 import dead_letters_pb2 as pb
from polystream.admin.v1.dead_letters_pb2_grpc import (
    DeadLetterServiceServicer,
    add_DeadLetterServiceServicer_to_server,
)
from polystream.options.v1.options_pb2 import POSTGRESQL, REDIS
from starlette.applications import Starlette

from mesh.errors import PolystreamError, Reason
from monitor.admin import Admin, AdminProcess
from monitor.integrity_runs import IntegrityRuns
from monitor.pages import dead_letters
from monitor.pages.frame import Frame
from monitor.pages.live import LivePages

HOSTILE = "<script>alert('x')</script>"
LETTER = pb.DeadLetter(
    name="3:17",
    status=pb.DeadLetter.PARKED,
    correlation_id="c-first",
    command="CreateUser",
    reason="HANDLER_FAILED",
    error=HOSTILE,
    store=POSTGRESQL,
    user_id=1234,
    waiting=["c-behind"],
    waiting_count=1,
)
CHANGE = {"names": "3:17", "action": "redrive"}
Context = grpc.aio.ServicerContext[Any, Any]
CONFIRM = {"principal": "ana", "justification": "the index is there"}


class StandInDeadLetters(DeadLetterServiceServicer):
    """Answers as it is told to, and keeps what it is asked."""

    def __init__(self) -> None:
        self.listed: list[pb.ListDeadLettersRequest] = []
        self.settled: list[tuple[str, pb.SettleDeadLettersRequest]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.busy = False

    async def ListDeadLetters(  # noqa: N802
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        """List one."""
        del context
        self.listed.append(request)
        await self.may_answer.wait()
        cause = pb.DeadLetterCause(
            reason=LETTER.reason, command=LETTER.command, store=LETTER.store, parked_count=1, total_count=2345
        )
        return pb.ListDeadLettersResponse(dead_letters=[LETTER], causes=[cause], total_size=2345, silent_stores=[REDIS])

    async def RedriveDeadLetters(  # noqa: N802
        self, request: pb.SettleDeadLettersRequest, context: Context
    ) -> AsyncIterator[pb.SettleDeadLettersResponse]:
        """Redrive one."""
        async for step in self._settle("redrive", request, context):
            yield step

    async def DiscardDeadLetters(  # noqa: N802
        self, request: pb.SettleDeadLettersRequest, context: Context
    ) -> AsyncIterator[pb.SettleDeadLettersResponse]:
        """Discard one."""
        async for step in self._settle("discard", request, context):
            yield step

    async def _settle(
        self, action: str, request: pb.SettleDeadLettersRequest, context: Context
    ) -> AsyncIterator[pb.SettleDeadLettersResponse]:
        self.settled.append((action, request))
        if self.busy and not request.validate_only:
            status = PolystreamError(Reason.ADMIN_BUSY).to_status()
            await context.abort_with_status(rpc_status.to_status(status))
        plan = pb.SettleDeadLettersResponse.Plan(chosen=[LETTER], chosen_count=1, waiting_count=1)
        yield pb.SettleDeadLettersResponse(plan=plan)
        if request.validate_only:
            return
        result = pb.SettleDeadLettersResponse.Result(
            correlation_id="c-first", command="CreateUser", outcome=pb.SettleDeadLettersResponse.Result.SUCCEEDED
        )
        yield pb.SettleDeadLettersResponse(batch=pb.SettleDeadLettersResponse.Batch(results=[result]))
        await self.may_end.wait()
        yield pb.SettleDeadLettersResponse(end=pb.SettleDeadLettersResponse.End(done=True, sent_count=1))


class StandInProcess(AdminProcess):
    """Leads to the tests' service in the place of a process."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder)
        self._made = grpc.aio.insecure_channel(address)
        self.fails = False

    async def channel(self) -> grpc.aio.Channel:
        """Return the channel, or fail as a process that cannot be started."""
        if self.fails:
            raise PolystreamError(Reason.ADMIN_UNAVAILABLE)
        return self._made

    async def close(self) -> None:
        """Close the channel."""
        await self._made.close()


@pytest.fixture
async def service() -> StandInDeadLetters:
    """Return the service."""
    return StandInDeadLetters()


@pytest.fixture
async def process(service: StandInDeadLetters, tmp_path: Path) -> AsyncIterator[StandInProcess]:
    """Serve it."""
    server = grpc.aio.server()
    add_DeadLetterServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    made = StandInProcess(tmp_path, f"127.0.0.1:{port}")
    yield made
    await made.close()
    await server.stop(None)


@pytest.fixture
async def client(process: StandInProcess, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the page."""
    frame = Frame([dead_letters.page(Admin(process, IntegrityRuns(tmp_path)))], {}, LivePages())
    transport = httpx.ASGITransport(Starlette(routes=frame.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as made:
        yield made


@pytest.mark.parametrize(("language", "count"), [("en", "2,345"), ("pt-BR", "2.345")])
async def test_they_are_shown_by_cause_with_what_waits(client: httpx.AsyncClient, language: str, count: str) -> None:
    """In both languages; what an error says is text, whatever is in it."""
    shown = (await client.get("/dead-letters", params={"lang": language})).raise_for_status().text
    for text in (count, "3:17", 'href="/operations/c-behind"', 'href="/operations/c-first"', "&lt;script&gt;"):
        assert text in shown
    assert HOSTILE not in shown
    assert 'role="alert"' in shown  # Redis is silent
    assert "http-equiv" not in shown


async def test_the_address_filters(client: httpx.AsyncClient, service: StandInDeadLetters) -> None:
    """By everything that a filter has; hostile values stay text."""
    query = {"reason": HOSTILE, "user_id": "7", "store": "REDIS", "status": "PARKED", "start_time": "2030-01-31T08:00"}
    shown = (await client.get("/dead-letters", params=query)).raise_for_status().text
    assert HOSTILE not in shown
    asked = service.listed[0].filter
    assert (asked.reason, asked.user_id, asked.store) == (HOSTILE, 7, REDIS)
    assert asked.status == pb.DeadLetter.PARKED
    assert asked.start_time.ToJsonString() == "2030-01-31T08:00:00Z"


@pytest.mark.parametrize("fault", [{"user_id": "x"}, {"store": "ORACLE"}, {"status": "X"}, {"end_time": "soon"}])
async def test_a_filter_that_is_none_is_told(
    client: httpx.AsyncClient, service: StandInDeadLetters, fault: dict[str, str]
) -> None:
    """With the field at fault, and nothing is asked."""
    refused = await client.get("/dead-letters", params=fault)
    assert refused.status_code == 400
    assert f"<code>{next(iter(fault))}</code>" in refused.text
    assert not service.listed


async def test_a_page_says_that_it_asks(client: httpx.AsyncClient, service: StandInDeadLetters) -> None:
    """At once; it is kept up to date until there is an answer, stands still then, and does not ask twice."""
    service.may_answer.clear()
    waiting = (await client.get("/dead-letters")).raise_for_status().text
    assert 'id="asking"' in waiting
    assert 'data-live="/live/dead-letters/stream?' in waiting
    service.may_answer.set()
    told = (await client.get("/live/dead-letters/stream")).raise_for_status().text  # it ends by itself
    assert "event: end" in told
    assert 'id="found"' in told
    assert len(service.listed) == 1
    assert "data-live" not in (await client.get("/dead-letters")).text


async def test_a_service_that_cannot_be_started_is_told(client: httpx.AsyncClient, process: StandInProcess) -> None:
    """As a sentence."""
    process.fails = True
    shown = await client.get("/dead-letters")
    assert shown.status_code == 503
    assert "The admin service cannot be asked now." in shown.text


def _plan_id(html: str) -> str:
    found = re.search(r'name="plan" value="([0-9a-f]+)"', html)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_a_dry_run_is_confirmed_once(client: httpx.AsyncClient, service: StandInDeadLetters, action: str) -> None:
    """With who and why; the result is shown batch by batch, and a form sent twice does nothing twice."""
    planned = (await client.post("/dead-letters", data=CHANGE | {"action": action})).raise_for_status().text
    assert [(done, asked.validate_only) for done, asked in service.settled] == [(action, True)]
    assert "1 dead letter is chosen. 1 command waits behind what is chosen." in planned
    service.may_end.clear()
    confirm = CONFIRM | {"plan": _plan_id(planned)}
    under_way = (await client.post("/dead-letters", data=confirm)).raise_for_status().text
    assert "Batches: 1." in under_way
    address = re.search(r'data-live="([^"]+)"', under_way)
    assert address is not None
    service.may_end.set()
    assert 'id="end"' in (await client.get(address[1])).raise_for_status().text
    assert 'id="end"' in (await client.post("/dead-letters", data=confirm)).text
    assert len(service.settled) == 2
    done, asked = service.settled[1]
    assert (done, list(asked.names), asked.principal) == (action, ["3:17"], "ana")
    assert asked.justification == "the index is there"
    assert not asked.validate_only


async def test_a_filter_is_settled(client: httpx.AsyncClient, service: StandInDeadLetters) -> None:
    """An empty one, which leaves all, too."""
    await client.post("/dead-letters", data={"by": "filter", "action": "redrive"})
    assert service.settled[0][1].HasField("filter")
    await client.post("/dead-letters", data={"by": "filter", "action": "redrive", "command": "CreateUser"})
    assert service.settled[1][1].filter.command == "CreateUser"


async def test_nothing_is_changed_without_who_and_why(client: httpx.AsyncClient, service: StandInDeadLetters) -> None:
    """What was written stays in the form."""
    planned = (await client.post("/dead-letters", data=CHANGE)).text
    refused = await client.post(
        "/dead-letters", data={"plan": _plan_id(planned), "principal": "ana", "justification": ""}
    )
    assert refused.status_code == 400
    assert "<code>justification</code>" in refused.text
    assert 'value="ana"' in refused.text
    assert len(service.settled) == 1


@pytest.mark.parametrize("said", [{"action": "stop", "names": "3:17"}, {"action": "redrive", "names": " "}])
async def test_a_form_that_is_no_good_is_refused(
    client: httpx.AsyncClient, service: StandInDeadLetters, said: dict[str, str]
) -> None:
    """And nothing is asked."""
    assert (await client.post("/dead-letters", data=said)).status_code == 400
    assert not service.settled


async def test_busy_is_told_and_can_be_tried_again(client: httpx.AsyncClient, service: StandInDeadLetters) -> None:
    """As a sentence, and the same dry run is confirmed later."""
    service.busy = True
    planned = (await client.post("/dead-letters", data=CHANGE)).text
    confirm = CONFIRM | {"plan": _plan_id(planned)}
    assert "Another redrive, discard or repair is under way." in (await client.post("/dead-letters", data=confirm)).text
    service.busy = False
    assert 'id="end"' in (await client.post("/dead-letters", data=confirm)).text
