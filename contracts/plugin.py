"""The frame of a protoc plugin: a request on standard input, its answer on standard output."""

import sys
from collections.abc import Callable, Mapping

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

_FEATURES = CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL


class PluginError(Exception):
    """The protos hold something that the plugin cannot generate from; protoc shows the sentence to its caller."""


def run_plugin(generate: Callable[[CodeGeneratorRequest], Mapping[str, str]]) -> None:
    """Answer one CodeGeneratorRequest. `generate` returns the text of each file by its path."""
    # The request also carries our custom options, which plugins read: their extensions have to be known by then.
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = CodeGeneratorResponse(supported_features=_FEATURES)
    try:
        files = generate(request)
    except PluginError as error:
        response.error = str(error)
    else:
        response.file.extend(CodeGeneratorResponse.File(name=name, content=files[name]) for name in sorted(files))
    sys.stdout.buffer.write(response.SerializeToString())
