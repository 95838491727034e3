"""The command line's own parts."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.options.v1 import options_pb2
from polystream.v1.operations_pb2 import Event, Operation, OperationStory, Span
from polystream.v1.users_pb2 import User
from rich.console import Console

from cli import choosing
from cli.__main__ import COMMANDS, main
from cli.arguments import parts_meant
from cli.commands import restart
from cli.folders import default_data_dir
from cli.progress import Progress
from cli.story import show
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.supervisor_client import SupervisorClient, SupervisorError
from stack.supervisor.register import user_register
from stack.supervisor.state import PlatformState, ProcessState


def test_every_command_has_its_module() -> None:
    """Each command of the list says how it is used."""
    for command in COMMANDS:
        if command.passes_arguments_on:
            continue
        with pytest.raises(SystemExit) as ended:
            main([command.name, "--help"])
        assert ended.value.code == 0


@pytest.mark.integration  # it starts a process
def test_a_command_imports_no_other_ones() -> None:
    """`status`, which scripts poll, waits neither for gRPC nor for rich."""
    script = (
        "import sys; from cli.__main__ import main; main(['status', '--json', '--data-dir', '/nowhere']);"
        "print(sorted({'grpc', 'rich', 'google', 'confluent_kafka'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert result.stderr == "[]\n"


def test_progress_without_a_terminal_is_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Starting is quiet, being ready is told with the addresses, and what happens later is told with its cause."""
    progress = Progress()
    progress.show({"event": "process", "name": "redis", "status": "starting", "pid": 1})
    progress.show({"event": "process", "name": "redis", "status": "ready", "pid": 1})
    progress.ready(2.345, {"rest": "http://127.0.0.1:8000", "postgresql": "postgresql://user:secret@127.0.0.1/db"})
    progress.ready(3.0, {}, "--data-dir '/a b[c]'")
    progress.show({"event": "process", "name": "redis", "status": "restarting", "detail": "ended by SIGKILL"})
    progress.failed("no [room] left")
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split()[2:] for line in (lines[0], lines[-1])] == [
        ["redis", "ready"],
        ["redis", "restarting:", "ended", "by", "SIGKILL"],
    ]
    assert "ready in 2.3 s" in lines
    assert "ready in 3.0 s; reach it with --data-dir '/a b[c]'" in lines
    assert "http://127.0.0.1:8000" in said.out
    assert "secret" not in said.out
    assert said.err == "not started: no [room] left\n"


def test_up_names_the_option_that_leads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset, where the register has the platform; else its folder, unless that is the one of the checkout."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here, there = default_data_dir().resolve(), tmp_path / "a b"
    assert choosing.option_of_started(here, 0) == ""
    assert choosing.option_of_started(there, 0) == choosing.option_of_started(there, 100) == f"--data-dir '{there}'"
    register = user_register()
    assert register is not None
    register.keep(there)
    assert choosing.option_of_started(there, 100) == "--port-offset 100"
    assert choosing.option_of_started(there, 0) == f"--data-dir '{there}'"


def _told(story: OperationStory) -> str:
    output = io.StringIO()
    show(story, Console(file=output, width=200))
    return output.getvalue()


def test_a_story_is_told_whole() -> None:
    """The operation, its hops with their delays, its receipts, its spans as a tree, and what is missing."""
    operation = Operation(correlation_id="c-1", command="CreateUser", state=Operation.SUCCEEDED, user_id=7)
    operation.accept_time.FromMilliseconds(1000)
    operation.receipts.add(
        store=options_pb2.POSTGRESQL, state=Operation.SUCCEEDED, complete_time=Timestamp(seconds=1, nanos=12_500_000)
    )
    accepted = Event(event_type="command.accepted", service="gateway-0", timestamp=Timestamp(seconds=1))
    applied = Event(event_type="command.succeeded", topic="response_events", partition=3, offset=9)
    applied.timestamp.CopyFrom(Timestamp(seconds=1, nanos=12_500_000))
    story = OperationStory(
        operation=operation,
        hops=[accepted, applied],
        spans=[
            Span(span_id="a", name="edge", service="envoy", kind="SERVER", duration_ms=3.0),
            Span(span_id="b", parent_span_id="a", name="send user_events", kind="PRODUCER"),
        ],
        missing=["no receipt of [redis]"],
    )
    told = _told(story)
    for expected in (
        "CreateUser SUCCEEDED (c-1, user 7)",
        "response_events/3@9",
        "12.5",
        "POSTGRESQL",
        "edge envoy SERVER 3.0 ms",
        "└── send user_events",
        "missing: no receipt of [redis]",
    ):
        assert expected in told
    assert "nothing is missing" not in told


def test_a_story_of_forged_spans_is_told() -> None:
    """Two of two traces with one ID, the second its own parent: each once, and none beneath itself."""
    story = OperationStory(
        spans=[
            Span(trace_id="a", span_id="1", name="own"),
            Span(trace_id="b", span_id="1", parent_span_id="1", name="forged"),
            Span(trace_id="b", span_id="2", parent_span_id="1", name="beneath"),
            Span(trace_id="b", name="nameless"),
            Span(trace_id="b", span_id="3", name="apart"),
        ]
    )
    names = ("own", "forged", "beneath", "nameless", "apart")
    told = [line.split("  ")[0] for line in _told(story).splitlines() if any(name in line for name in names)]
    assert told == ["own", "forged", "└── beneath", "nameless", "apart"]


def test_a_failed_operation_is_told_with_its_reason() -> None:
    """The error's message is under the operation, and in the receipt of the store that refused."""
    operation = Operation(command="CreateUser", state=Operation.FAILED)
    operation.error.message = "there is a user with this CPF"
    operation.receipts.add(store=options_pb2.POSTGRESQL, state=Operation.FAILED).error.message = "refused there"
    told = _told(OperationStory(operation=operation))
    assert "there is a user with this CPF" in told
    assert "refused there" in told
    assert "nothing is missing" in told


def test_an_error_is_told_with_its_details() -> None:
    """The reason, each field at fault with the rule it breaks, and when to try again; in the receipt, too."""
    faults = (FieldFault("user_id", "could not be [checked]"), FieldFault("email", "is too long", "string.max_len"))
    error = PolystreamError(Reason.USER_UNVERIFIED, "try later", faults=faults, retry_delay_s=2.5).to_status()
    operation = Operation(command="CreateUser", state=Operation.FAILED, error=error)
    operation.receipts.add(store=options_pb2.POSTGRESQL, state=Operation.FAILED, error=error)
    told = _told(OperationStory(operation=operation))
    for expected in (
        "USER_UNVERIFIED: try later",
        "user_id: could not be [checked]",
        "email: is too long (string.max_len)",
        "try again after 2.5 s",
    ):
        assert told.count(expected) == 2


@pytest.mark.integration  # it starts a process
def test_what_is_inside_a_message_needs_no_other_import_to_be_json() -> None:
    """A process that knows of nothing else writes an operation's result and the details of its error."""
    operation = Operation(error=PolystreamError(Reason.USER_UNVERIFIED, faults=[FieldFault("f", "d")]).to_status())
    operation.result.Pack(User(user_id=7))
    script = (
        "import sys; from polystream.v1.operations_pb2 import Operation; from mesh.proto_json import to_json;"
        "print(to_json(Operation.FromString(bytes.fromhex(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", script, operation.SerializeToString().hex()]
    written = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout)
    assert written["result"]["user_id"] == "7"
    assert [detail["@type"].rpartition(".")[2] for detail in written["error"]["details"]] == [
        "ErrorInfo",
        "BadRequest",
        "RetryInfo",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "17"], "'17' is no PARTITION:OFFSET and no correlation ID: `dlq list` shows both"),
        (["list", "--standing", "lost"], "'lost' is none of parked, "),
        (["redrive", "--all", "--wait-s", "0"], "'0' is no number of seconds above 0"),
        (["redrive", "--all", "--wait-s", "soon"], "'soon' is no number of seconds above 0"),
        (["list", "--user", "00000000000000001999999999999"], "is no user's ID: a number from 1 to 9007199254740991"),
        ([], "it needs ACTION"),
    ],
)
def test_what_dlq_can_not_read_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it takes instead."""
    with pytest.raises(SystemExit):
        main(["dlq", *arguments])
    assert said in capsys.readouterr().err


def test_dlq_needs_a_platform_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is none it says how to start one."""
    assert main(["dlq", "list", "--data-dir", str(tmp_path)]) == 2
    assert "start one with `up`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gateway", ("gateway-0", "gateway-1")),
        ("gateway-1", ("gateway-1",)),
        ("lane", ("lane-redis-0", "lane-redis-1")),
        ("lane-redis", ("lane-redis-0", "lane-redis-1")),
        ("redis", ("redis",)),
        ("gate", ()),
        ("lane-redis-", ()),
        ("", ()),
    ],
)
def test_a_name_means_a_part_or_all_of_its_kind(name: str, meant: tuple[str, ...]) -> None:
    """Never a part that only begins with the same letters."""
    parts = ("redis", "gateway-0", "gateway-1", "lane-redis-0", "lane-redis-1")
    assert parts_meant(name, parts) == meant


def test_parts_of_a_kind_are_restarted_one_after_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The next one is not touched before the one before it is ready: where one is not, the others go on."""
    processes = [ProcessState(name, "service", "ready") for name in ("gateway-0", "gateway-1", "gateway-2", "monitor")]
    state = PlatformState(1, "", "embedded", 0, processes=processes)
    monkeypatch.setattr(restart, "find_platform", lambda _: state)
    asked: list[str] = []

    def ask(_: SupervisorClient, part: str) -> float:
        asked.append(part)
        if part == "gateway-1":
            raise SupervisorError("NOT_READY", "gateway-1 does not come up")
        return 1.25

    monkeypatch.setattr(SupervisorClient, "restart", ask)
    assert main(["restart", "gateway", "--data-dir", str(tmp_path)]) == 1
    assert asked == ["gateway-0", "gateway-1"]
    said = capsys.readouterr()
    assert said.out == "gateway-0 is ready again after 1.2 s\n"
    assert said.err == "gateway-1 does not come up\n"
