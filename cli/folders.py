"""The folders that commands work on: the checkout, and a platform's data."""

import argparse
from pathlib import Path
from typing import Final

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
