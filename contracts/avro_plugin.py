"""A protoc plugin that writes one Avro schema for each record that travels on Kafka.

Records are the requests of commands and the messages with the `event` option.
"""

import json

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest

from contracts.avro_schema import record_schema
from contracts.descriptors import COMMAND_OPTION, EVENT_OPTION, Descriptors
from contracts.plugin import run_plugin


def generate(request: CodeGeneratorRequest) -> dict[str, str]:
    """Return the text of every `FULL_NAME.avsc`."""
    descriptors = Descriptors(request)
    commands = [m.input_type for m in descriptors.methods() if descriptors.option(m, COMMAND_OPTION) is not None]
    events = [m for m in descriptors.messages() if descriptors.option(m, EVENT_OPTION) is not None]
    return {
        f"{root.full_name}.avsc": json.dumps(record_schema(root, descriptors), indent=2, ensure_ascii=False) + "\n"
        for root in [*commands, *events]
    }


if __name__ == "__main__":
    run_plugin(generate)
