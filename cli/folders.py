"""The folders that commands work on: the checkout, and a platform's data."""

import os
from pathlib import Path
from typing import Final

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


def default_data_dir() -> Path:
    """Return where a platform keeps its data unless `--data-dir` says otherwise."""
    return work_dir() / ".data" / "embedded"
