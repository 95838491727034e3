"""What the commands share: finding a platform by its data folder."""

import argparse
from pathlib import Path
from typing import Final

from stack.supervisor.state import PlatformState, RunFolder

CHECKOUT: Final = Path(__file__).resolve().parents[1]


def work_dir() -> Path:
    """Return the folder that holds `.env` and `.data`: the checkout, else the current one."""
    return CHECKOUT if (CHECKOUT / "pyproject.toml").exists() else Path.cwd()


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`, as every command that looks for a platform has it."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=work_dir() / ".data" / "embedded",
        metavar="DIR",
        help="where the platform keeps its data (default: %(default)s)",
    )


def find_platform(data_dir: Path) -> PlatformState | None:
    """Return the platform that runs on the data folder, or None."""
    state = RunFolder(data_dir.resolve()).read()
    return state if state and state.is_alive() else None


def nothing_runs(data_dir: Path) -> str:
    """Return what a command says that needs a platform where there is none."""
    return f"no platform runs on {data_dir}: start one with `up`, or say --data-dir"
