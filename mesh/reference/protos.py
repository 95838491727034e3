"""The protos as they stand in the checkout, linked, with their comments."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mesh.contracts import third_party
from mesh.contracts.descriptors import Descriptors

_OURS: Final = "polystream/"
_BUF_TIMEOUT_S: Final = 120


class ProtosError(Exception):
    """The protos could not be compiled; buf's own message is part of this one's."""


def read_protos(root: Path) -> Descriptors:
    """Compile the protos of a checkout. Raises ProtosError, and ThirdPartyError where those they import are missing."""
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    third_party.fill(root / "build" / "protos", search_path=search_path)
    buf = shutil.which("buf", path=search_path)
    if buf is None:
        raise ProtosError("buf is not installed: install the development dependencies")
    done = subprocess.run(  # noqa: S603 # fixed arguments
        [buf, "build", "--as-file-descriptor-set", "--path", "proto/polystream", "--output", "-"],
        cwd=root,
        capture_output=True,
        check=False,
        timeout=_BUF_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise ProtosError(f"buf build failed:\n{done.stderr.decode()}")
    files = FileDescriptorSet.FromString(done.stdout).file
    ours = [file.name for file in files if file.name.startswith(_OURS)]
    return Descriptors(CodeGeneratorRequest(file_to_generate=ours, proto_file=files))
