"""`polystream.admin.v1.DeadLetterService`: lists dead letters, redrives and discards them."""

from collections.abc import Iterator, Sequence
from typing import Final

import structlog
from polystream.admin.v1 import dead_letters_pb2 as pb
from polystream.admin.v1.dead_letters_pb2_grpc import DeadLetterServiceServicer

from mesh.dead_letters.redrive import RedriveOrder
from mesh.envelope import RedriveAction
from mesh.errors import FieldFault, PolystreamError, Reason, not_found
from mesh.justification import require_justified
from mesh.pages import page_of
from processor.admin.calls import AdminCalls, Context
from processor.admin.messages import (
    ENTRIES_MAX,
    causes,
    choice_of,
    dead_letter_message,
    result_message,
)
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus
from processor.dead_letters.settlement import is_done, read_listing, settle, still_parked

_LOG = structlog.get_logger(__name__)
_WAIT_S: Final = 30.0
_WAIT_MAX_S: Final = 3600.0


class DeadLetterServicer(DeadLetterServiceServicer):
    """The service's RPCs."""

    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    def ListDeadLetters(  # noqa: N802 # the service's own name
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        """List them, the newest first."""
        with self._calls.call(context):
            page = page_of(request, int, str)
            listing = read_listing()
            chosen = choice_of(request.filter).of(listing.entries)
            ordered = sorted(chosen, key=_sort_key, reverse=True)
            after = page.after
            behind = [entry for entry in ordered if after is None or _sort_key(entry) < after]
            shown, has_more = page.cut(behind[: page.size + 1])
            return pb.ListDeadLettersResponse(
                dead_letters=map(dead_letter_message, shown),
                next_page_token=page.token(*_sort_key(shown[-1])) if has_more else "",
                causes=causes(chosen),
                total_size=len(chosen),
                left_out_count=listing.left_out,
                silent_stores=sorted(listing.silent),
            )

    def GetDeadLetter(  # noqa: N802 # the service's own name
        self, request: pb.GetDeadLetterRequest, context: Context
    ) -> pb.DeadLetter:
        """Read one."""
        with self._calls.call(context):
            return dead_letter_message(_find(read_listing().entries, request.name)[0])

    def RedriveDeadLetters(  # noqa: N802 # the service's own name
        self, request: pb.SettleDeadLettersRequest, context: Context
    ) -> Iterator[pb.SettleDeadLettersResponse]:
        """Try parked ones once more."""
        with self._calls.call(context):
            yield from self._settle(request, RedriveAction.REDRIVE, keep_going=request.keep_going)

    def DiscardDeadLetters(  # noqa: N802 # the service's own name
        self, request: pb.SettleDeadLettersRequest, context: Context
    ) -> Iterator[pb.SettleDeadLettersResponse]:
        """Give parked ones up for good."""
        with self._calls.call(context):
            yield from self._settle(request, RedriveAction.DISCARD, keep_going=True)

    def _settle(
        self, request: pb.SettleDeadLettersRequest, action: RedriveAction, *, keep_going: bool
    ) -> Iterator[pb.SettleDeadLettersResponse]:
        wait_s = _checked(request)
        if request.validate_only:
            yield from _plan(request)[1]
            return
        require_justified(request.principal, request.justification)
        with self._calls.change():
            chosen, plan = _plan(request)
            yield from plan
            order = RedriveOrder(action, request.principal.strip(), request.justification.strip())
            _LOG.info(
                "dead letters are settled",
                action=action.value,
                principal=order.principal,
                justification=order.justification,
                dead_letters=len(chosen),
            )
            reached: set[str] = set()
            is_all = not plan[0].plan.kept and not plan[0].plan.silent_stores
            for batch in settle(chosen, order, wait_s=wait_s, keep_going=keep_going):
                reached.update(one.dead_letter.correlation_id for one in batch)
                is_all = is_all and all(is_done(one, action) for one in batch)
                results = pb.SettleDeadLettersResponse.Batch(results=map(result_message, batch))
                yield pb.SettleDeadLettersResponse(batch=results)
            unsent = {entry.dead_letter.correlation_id for entry in chosen} - reached
            parked = still_parked(chosen) if reached else []
            yield pb.SettleDeadLettersResponse(
                end=pb.SettleDeadLettersResponse.End(
                    done=is_all and not unsent and not parked,
                    sent_count=len(reached),
                    unsent_count=len(unsent),
                    parked=map(dead_letter_message, parked[:ENTRIES_MAX]),
                )
            )


def _plan(
    request: pb.SettleDeadLettersRequest,
) -> tuple[Sequence[ListedDeadLetter], Sequence[pb.SettleDeadLettersResponse]]:
    """Return what is to be settled, and the message that tells of it."""
    listing = read_listing()
    if request.names:
        asked = [entry for name in request.names for entry in _find(listing.entries, name)]
    else:
        left = choice_of(request.filter).of(listing.entries)
        asked = [entry for entry in left if entry.status is ParkingStatus.PARKED]
    chosen = [entry for entry in asked if entry.status is ParkingStatus.PARKED]
    kept = [entry for entry in asked if entry.status is not ParkingStatus.PARKED]
    plan = pb.SettleDeadLettersResponse.Plan(
        chosen=map(dead_letter_message, chosen[:ENTRIES_MAX]),
        chosen_count=len(chosen),
        kept=map(dead_letter_message, kept[:ENTRIES_MAX]),
        silent_stores=sorted(listing.silent),
        waiting_count=sum(len(entry.waiting) for entry in chosen),
    )
    return chosen, [pb.SettleDeadLettersResponse(plan=plan)]


def _checked(request: pb.SettleDeadLettersRequest) -> float:
    """Return how long to wait for a batch, in seconds. Raises PolystreamError INVALID_FIELD."""
    faults = []
    if bool(request.names) == request.HasField("filter"):
        faults.append(FieldFault("names", "say which dead letters, by names or by a filter, and not by both"))
    if len(request.names) > ENTRIES_MAX:
        faults.append(FieldFault("names", f"are more than {ENTRIES_MAX}; use a filter", "repeated.max_items"))
    wait_s = request.wait.ToMilliseconds() / 1000 if request.HasField("wait") else _WAIT_S
    if not 0 < wait_s <= _WAIT_MAX_S:
        faults.append(FieldFault("wait", f"is no time above 0, up to {_WAIT_MAX_S:g} s", "duration.lte"))
    if faults:
        raise PolystreamError(Reason.INVALID_FIELD, faults=faults)
    return wait_s


def _find(entries: Sequence[ListedDeadLetter], name: str) -> Sequence[ListedDeadLetter]:
    """Return what somebody means: of a command that several stores have parked, all of them."""
    found = [entry for entry in entries if name and entry.is_called(name)]
    if not found:
        raise not_found(Reason.DEAD_LETTER_NOT_FOUND, "name")
    return [entry for entry in found if entry.status is ParkingStatus.PARKED] or found[:1]


def _sort_key(entry: ListedDeadLetter) -> tuple[int, str]:
    one = entry.dead_letter
    return one.time_ms, f"{one.source}/{one.store}/{one.correlation_id}"
