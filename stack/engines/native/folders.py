"""Where the native engines keep their data: apart from the embedded ones', which are other programs."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from stack.engines.spec import Command, Engine, Site

_FOLDER: Final = "native"


def data_folder(site: Site, name: str) -> Path:
    """Return the data folder of a native engine, made if it is missing."""
    return site.folder(f"{_FOLDER}/{name}")


def scratch_folder(site: Site, name: str) -> Path:
    """Return an empty folder for an engine's temporary files: those of a process that was killed are gone."""
    folder = data_folder(site, name) / "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def moved(engine: Engine) -> Engine:
    """Return the same engine with its data beside the native ones'."""

    def elsewhere(site: Site) -> Site:
        return replace(site, data_dir=site.folder(_FOLDER))

    def prepare(site: Site) -> None:
        engine.prepare(elsewhere(site))

    def command(site: Site) -> Command:
        return engine.command(elsewhere(site))

    return replace(engine, prepare=prepare, command=command)
