"""Compiles protos made for a test with protoc and one of the project's plugins, for real."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Compiled:
    """What protoc did: its messages, the plugin's files, and the descriptors."""

    exit_status: int
    messages: str
    files: dict[str, str]
    descriptors: bytes

    def json(self, name: str) -> Any:
        """Return one file's content, parsed."""
        return json.loads(self.files[name])

    def message_class(self, full_name: str) -> type[Message]:
        """Return the class of a message, from a pool of its own."""
        pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(self.descriptors).file:
            pool.AddSerializedFile(file.SerializeToString())
        return GetMessageClass(pool.FindMessageTypeByName(full_name))


def compile_protos(folder: Path, plugin: str, sources: dict[str, str]) -> Compiled:
    """Compile `sources`, texts by file name, with the plugin `contracts.PLUGIN`, inside an empty folder."""
    protos, out, descriptors = folder / "protos", folder / "out", folder / "descriptors.binpb"
    protos.mkdir()
    out.mkdir()
    for name, text in sources.items():
        (protos / name).write_text(text, encoding="utf-8")
    program = folder / "protoc-gen-trial"
    command = f'cd "{_ROOT}" && exec "{sys.executable}" -m contracts.{plugin}'
    program.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    program.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            *(f"-I{path}" for path in _include_paths(protos)),
            f"--plugin=protoc-gen-trial={program}",
            f"--trial_out={out}",
            f"--descriptor_set_out={descriptors}",
            "--include_imports",
            *sources,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    return Compiled(
        exit_status=done.returncode,
        messages=done.stderr,
        files={p.relative_to(out).as_posix(): p.read_text(encoding="utf-8") for p in out.rglob("*") if p.is_file()},
        descriptors=descriptors.read_bytes() if descriptors.exists() else b"",
    )


def _include_paths(protos: Path) -> list[Path]:
    google_api = Path(str(resources.files("google.api").joinpath("http.proto")))
    well_known = Path(str(resources.files("grpc_tools").joinpath("_proto")))
    return [protos, _ROOT / "proto", google_api.parents[2], well_known]
