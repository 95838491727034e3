"""The folders that commands work on: the checkout, and a platform's data."""

import argparse
import os
from pathlib import Path
from typing import Final

from cli.arguments import folder

CHECKOUT: Final = Path(__file__).resolve().parents[1]


def work_dir() -> Path:
    """Return the folder that holds `.env` and `.data`: the checkout, else the current one."""
    return CHECKOUT if (CHECKOUT / "pyproject.toml").exists() else Path.cwd()


def name_env_file() -> None:
    """Let POLYSTREAM_ENV_FILE name the settings' file: the one that it names already, else `.env` in the work folder.

    Where there is neither, it names none.
    """
    named = os.environ.get("POLYSTREAM_ENV_FILE")
    file = Path(named).absolute() if named else work_dir() / ".env"
    if named or os.path.lexists(file):
        os.environ["POLYSTREAM_ENV_FILE"] = str(file)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`, as every command that looks for a platform has it."""
    parser.add_argument(
        "--data-dir",
        type=folder,
        default=work_dir() / ".data" / "embedded",
        metavar="DIR",
        help="where the platform keeps its data (default: .data/embedded of the checkout)",
    )
