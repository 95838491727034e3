"""Where the native engines keep their data: apart from the embedded ones', which are other programs."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from stack.engines.spec import CommandLine, EngineSpec, StackContext

_FOLDER: Final = "native"


def data_folder(context: StackContext, name: str) -> Path:
    """Return the data folder of a native engine, made if it is missing."""
    return context.folder(f"{_FOLDER}/{name}")


def scratch_folder(context: StackContext, name: str) -> Path:
    """Return an empty folder for an engine's temporary files: those of a process that was killed are gone."""
    folder = data_folder(context, name) / "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def moved(engine: EngineSpec) -> EngineSpec:
    """Return the same engine with its data beside the native ones'."""

    def elsewhere(context: StackContext) -> StackContext:
        return replace(context, data_dir=context.folder(_FOLDER))

    def prepare(context: StackContext) -> None:
        engine.prepare(elsewhere(context))

    def command(context: StackContext) -> CommandLine:
        return engine.command(elsewhere(context))

    return replace(engine, prepare=prepare, command=command)
