"""What `up` shows: a live table on a terminal, one line an event elsewhere."""

import time
from typing import Any

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cli.console import make_console
from stack.supervisor.state import for_display

_COLORS = {"ready": "green", "starting": "yellow", "restarting": "red", "unhealthy": "red", "stopped": "dim"}
_SHOWN = (
    "dashboard",
    "docs",
    "rest",
    "grpc",
    "edge",
    "kafka",
    "schema_registry",
    "postgresql",
    "mongodb",
    "redis",
    "opensearch",
    "otlp",
    "jaeger",
    "dashboards",
    "kafka_ui",
    "adminer",
    "mongo_express",
    "redis_commander",
)


class Progress:
    """Shows the supervisor's events."""

    def __init__(self) -> None:
        self._console = make_console(tolerant=True)
        self._errors = make_console(stderr=True, tolerant=True)
        self._began = time.monotonic()
        self._rows: dict[str, tuple[str, str]] = {}
        self._live: Live | None = None
        self._is_up = False
        self._is_stopping = False
        self.is_told = False  # how it ended
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def show(self, event: dict[str, Any]) -> None:
        """Show one event."""
        kind = event["event"]
        if kind == "process":
            self._process(event)
        elif kind == "note":
            self._console.print(escape(event["message"]))
        elif kind == "failed":
            self.failed(event["message"])
        elif kind == "stopped" and not self.is_told:
            self.is_told = True
            self._console.print("stopped")
            if event.get("message"):
                self._console.print(escape(event["message"]), soft_wrap=True)

    def ready(self, seconds: float, endpoints: dict[str, str | None], option: str = "") -> None:
        """Show that all is ready, the addresses, and the option by which other commands reach it, if they need one."""
        self.close()
        self._is_up = True
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name in _SHOWN:
            if endpoints.get(name):
                table.add_row(name, escape(str(for_display(endpoints[name]))))
        self._console.print(table)
        reached = f"; reach it with {escape(option)}" if option else ""
        self._console.print(f"[bold green]ready[/bold green] in {seconds:.1f} s{reached}")

    def stopping(self) -> None:
        """Show that it stops, once."""
        if self._is_stopping:
            return
        self.close()
        self._is_stopping = True
        self._is_up = True  # from now on, one line an event
        self._console.print("stopping")

    def failed(self, message: str) -> None:
        """Show why it does not start."""
        self.close()
        self.is_told = True
        self._errors.print(f"[bold red]not started:[/bold red] {escape(message)}")

    def close(self) -> None:
        """End the live table."""
        if self._live:
            self._live.stop()
            self._live = None

    def _process(self, event: dict[str, Any]) -> None:
        name, status, detail = event["name"], event["status"], event.get("detail", "")
        before = self._rows.get(name, ("", ""))[0]
        seconds = f"{time.monotonic() - self._began:.1f} s"
        self._rows[name] = status, seconds
        if self._live:
            self._live.update(self._table(), refresh=True)
        elif status != before and (self._is_up or status in {"ready", "restarting"}):
            self._console.print(f"{seconds:>8}  {name:<20} {status}{f': {escape(detail)}' if detail else ''}")

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, (status, seconds) in self._rows.items():
            color = _COLORS.get(status, "white")
            table.add_row(name, f"[{color}]{status}[/{color}]", seconds)
        return table
