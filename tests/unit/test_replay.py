"""Which answer of the live store a replay goes by, and what a session is in the end."""

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.sessions_pb2 import Session

from mesh.ids import new_correlation_id
from mesh.operation import TYPE_URL_PREFIX
from processor.replay.answers import AnswerIndex
from processor.replay.outcome import Missing, Replayed
from processor.replay.told_handlers import ToldHandlers

_HOUR_S = 3600
_FAR_S = 4_000_000_000


def answer(
    id_: str, state: "Operation.State", seconds: int, *, command: str = "RecordView", given_up: bool = False
) -> CommandReceipt:
    """Return an answer at a second."""
    receipt = CommandReceipt(correlation_id=id_, command=command, store="MONGODB", state=state, dead_lettered=given_up)
    receipt.complete_time.FromSeconds(seconds)
    return receipt


def of_session(id_: str, command: str, seconds: int, session: Session) -> CommandReceipt:
    """Return the answer to a command of a session."""
    receipt = answer(id_, Operation.SUCCEEDED, seconds, command=command)
    receipt.result.type_url = TYPE_URL_PREFIX + Session.DESCRIPTOR.full_name
    receipt.result.value = session.SerializeToString()
    return receipt


def test_what_a_redrive_brought_counts_and_what_waits_least() -> None:
    """Whatever the times: a dead letter gives way to an end, and that a command waits to either."""
    id_ = new_correlation_id()
    waits = answer(id_, Operation.ACCEPTED, 30)
    waits.waits_behind = new_correlation_id()
    with AnswerIndex() as index:
        index.add([waits])
        assert index.find([id_])[id_].waits_behind

        index.add([answer(id_, Operation.FAILED, 20, given_up=True), waits])
        assert index.find([id_])[id_].dead_lettered

        index.add([answer(id_, Operation.SUCCEEDED, 10), answer(id_, Operation.FAILED, 40, given_up=True)])
        assert index.find([id_, new_correlation_id()]) == {id_: answer(id_, Operation.SUCCEEDED, 10)}


def test_a_session_ends_when_it_was_last_told_to() -> None:
    """Its later commands are in another partition, and may be read before the one that creates it."""
    prolonged, deleted, plain = (new_correlation_id() for _ in range(3))
    created = {id_: Session(session_id=id_, user_id=1) for id_ in (prolonged, deleted, plain)}
    for session in created.values():
        session.expire_time.FromSeconds(_HOUR_S)
    later = Session(session_id=prolonged, user_id=1)
    later.expire_time.FromSeconds(_FAR_S)
    answers = {id_: of_session(id_, "CreateSession", 1, session) for id_, session in created.items()}
    with AnswerIndex() as index:
        index.add(
            [
                of_session(new_correlation_id(), "UpdateSession", 3, later),
                of_session(new_correlation_id(), "UpdateSession", 2, created[prolonged]),
                of_session(new_correlation_id(), "DeleteSession", 2, Session(session_id=deleted, user_id=1)),
            ]
        )
        handlers = ToldHandlers({})
        handlers.sessions = index.last_of_sessions(answers)

    ends = {
        id_: made.expire_time.seconds for id_, one in answers.items() if isinstance(made := handlers.made(one), Session)
    }
    assert ends == {prolonged: _FAR_S, deleted: 0, plain: _HOUR_S}
    assert [handlers.has_expired(answers[id_]) for id_ in (prolonged, deleted, plain)] == [False, False, True]


def test_what_is_missing_makes_a_replay_fail() -> None:
    """As does a log whose beginning is gone; nothing missing is whole."""
    done = Replayed("MONGODB", is_dry=True)
    assert done.is_whole
    assert not Replayed("MONGODB", is_dry=True, begins={0: 7}).is_whole
    done.missing[Missing.WAITS] += 1
    assert not done.is_whole
