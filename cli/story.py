"""An operation's story on the terminal."""

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from polystream.options.v1 import options_pb2
from polystream.v1.operations_pb2 import Event, Operation, OperationStory, Span
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from cli.console import make_console
from mesh.errors import read_details

_COLORS = {"SUCCEEDED": "green", "FAILED": "red", "ACCEPTED": "yellow"}


def show(story: OperationStory, console: Console | None = None) -> None:
    """Print the operation, its hops in order, the stores' receipts, the spans as a tree, and what is missing."""
    console = console or make_console()
    _show_operation(story.operation, console)
    if story.hops:
        console.print(_hops(story))
    if story.operation.receipts:
        console.print(_receipts(story.operation))
    for tree in _span_trees(story):
        console.print(tree)
    for sentence in story.missing:
        console.print(f"[red]missing:[/red] {escape(sentence)}")
    if not story.missing:
        console.print("[green]nothing is missing[/green]")


def _show_operation(operation: Operation, console: Console) -> None:
    user = f", user {operation.user_id}" if operation.HasField("user_id") else ""
    state = _state(Operation.State.Name(operation.state))
    console.print(f"[bold]{escape(operation.command)}[/bold] {state} ({escape(operation.correlation_id)}{user})")
    if operation.HasField("error"):
        console.print(f"[red]{escape(_error(operation.error))}[/red]")


def _hops(story: OperationStory) -> Table:
    table = Table(
        "after ms", "event", "service", "store", "record", "took ms", "note", title="hops", title_justify="left"
    )
    for hop in story.hops:
        table.add_row(
            f"{_milliseconds_between(story.hops[0].timestamp, hop.timestamp):.1f}",
            escape(hop.event_type),
            escape(hop.service),
            escape(hop.store),
            escape(f"{hop.topic}/{hop.partition}@{hop.offset}") if hop.topic else "",
            f"{hop.duration_ms:.1f}",
            escape(_note(hop)),
        )
    return table


def _note(hop: Event) -> str:
    return ", ".join(filter(None, (hop.error, "duplicate" if hop.duplicate else "")))


def _error(status: status_pb2.Status) -> str:
    """Return all that an error says, a line each: its reason, the fields at fault, and when to try again."""
    details = read_details(status)
    faults = [
        f"{fault.field}: {fault.description}" + (f" ({fault.rule})" if fault.rule else "") for fault in details.faults
    ]
    retry = [] if details.retry_delay_s is None else [f"try again after {details.retry_delay_s:g} s"]
    said = f"{details.reason}: {status.message}" if details.reason else status.message
    return "\n".join([said, *faults, *retry])


def _receipts(operation: Operation) -> Table:
    table = Table("store", "state", "after ms", "note", title="receipts", title_justify="left")
    for receipt in operation.receipts:
        note = _error(receipt.error) if receipt.HasField("error") else ("duplicate" if receipt.duplicate else "")
        table.add_row(
            options_pb2.Store.Name(receipt.store),
            _state(Operation.State.Name(receipt.state)),
            f"{_milliseconds_between(operation.accept_time, receipt.complete_time):.1f}",
            escape(note),
        )
    return table


def _span_trees(story: OperationStory) -> list[Tree]:
    """Return the spans, which come parents first, as trees; one whose parent has not come is a root of its own."""
    nodes: dict[tuple[str, str], Tree] = {}  # by trace and span; of those before, so that there is no circle
    roots: list[Tree] = []
    for span in story.spans:
        node = Tree(_span(span))
        parent = nodes.get((span.trace_id, span.parent_span_id)) if span.parent_span_id else None
        (parent.children if parent else roots).append(node)
        nodes[span.trace_id, span.span_id] = node
    return roots


def _span(span: Span) -> str:
    color = "red" if span.error else "cyan"
    return (
        f"[{color}]{escape(span.name)}[/{color}] {escape(span.service)} {escape(span.kind)} {span.duration_ms:.1f} ms"
    )


def _state(name: str) -> str:
    color = _COLORS.get(name, "white")
    return f"[{color}]{name}[/{color}]"


def _milliseconds_between(begin: Timestamp, end: Timestamp) -> float:
    return (end.ToNanoseconds() - begin.ToNanoseconds()) / 1e6
