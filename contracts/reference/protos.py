"""The protos as they stand in the checkout, linked, with their comments."""

from pathlib import Path
from typing import Final

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from contracts.buf import fill_imports, run_buf
from contracts.descriptors import Descriptors

_OURS: Final = "polystream/"
_BUF_TIMEOUT_S: Final = 120


def read_protos(root: Path) -> Descriptors:
    """Compile the protos of a checkout. Raises BufError, and ThirdPartyError where those they import are missing."""
    fill_imports(root)
    arguments = ("build", "--as-file-descriptor-set", "--path", "proto/polystream", "--output", "-")
    files = FileDescriptorSet.FromString(run_buf(root, *arguments, timeout_s=_BUF_TIMEOUT_S)).file
    ours = [file.name for file in files if file.name.startswith(_OURS)]
    return Descriptors(CodeGeneratorRequest(file_to_generate=ours, proto_file=files))
