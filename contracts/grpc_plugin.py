"""A protoc plugin that writes gRPC stubs and servicers for Python, with their types.

The generator that grpcio-tools holds is reachable through its own protoc only, so this plugin calls it and
adds what it does not write: a `.pyi` beside each module.
"""

import tempfile
from pathlib import Path

import grpc_tools.protoc  # type: ignore[import-untyped] # it carries no types
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from contracts.grpc_types import grpc_types
from contracts.plugin import PluginError, run_plugin


def generate(request: CodeGeneratorRequest) -> dict[str, str]:
    """Return the module and its types for every file that declares a service."""
    wanted = set(request.file_to_generate)
    with_services = [file for file in request.proto_file if file.name in wanted and file.service]
    files = _modules(request, [file.name for file in with_services])
    for file in with_services:
        files[file.name.removesuffix(".proto") + "_pb2_grpc.pyi"] = grpc_types(file, request.proto_file)
    return files


def _modules(request: CodeGeneratorRequest, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder, "descriptors.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = Path(folder, "out")
        out.mkdir()
        arguments = ["protoc", f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *names]
        if grpc_tools.protoc.main(arguments) != 0:
            raise PluginError("grpcio-tools could not generate the stubs; its message is above")
        return {path.relative_to(out).as_posix(): path.read_text(encoding="utf-8") for path in out.rglob("*.py")}


if __name__ == "__main__":
    run_plugin(generate)
