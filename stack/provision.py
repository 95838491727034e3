"""Prepares Kafka and the schema registry for the services: `python -m stack.provision`.

Safe to repeat, and to run beside a platform that works already.
"""

import sys
import time

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from mesh import startup
from mesh.backoff import Backoff
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.kafka import QUIET_CONFIG
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings, TelemetrySettings
from mesh.telemetry.logs import configure_logging
from mesh.topic_reader import TopicError
from mesh.topic_replicas import make_replicas_safe
from mesh.topics import COMMANDS, RECEIPTS, WrongPartitionsError, create_topics
from stack.partition_growth import GrowthRefusedError, PartitionGrowth

COMPATIBILITY = "FULL_TRANSITIVE"
RECEIPT_RECORD = "polystream.v1.CommandReceipt"
_REGISTRY_WAIT_MAX_S = 60.0
_RETRY_FIRST_S = 0.1
_RETRY_MAX_S = 1.0

log = structlog.stdlib.get_logger(__name__)


def register_schemas(registry: RegistryClient) -> dict[str, int]:
    """Register every record of the platform and return the schema IDs by record name. Raises PolystreamError."""
    registry.set_compatibility(COMPATIBILITY)
    ids = {
        command.request_type: registry.register(COMMANDS, command.request_type, load_schema(command.request_type))
        for command in load_catalog().commands.values()
    }
    ids[RECEIPT_RECORD] = registry.register(RECEIPTS, RECEIPT_RECORD, load_schema(RECEIPT_RECORD))
    return ids


def prepare_topics(kafka: KafkaSettings) -> None:
    """Create what topics are missing, grow the commands' as the settings say, and have the replicas keep what is sent.

    Raises KafkaException or TopicError when no broker answers in time, WrongPartitionsError where the commands' topic
    has more partitions than the settings say, and GrowthRefusedError where it may not grow now.
    """
    client_config = {**kafka.client_config("provision"), **QUIET_CONFIG}
    try:
        create_topics(client_config, kafka.command_partitions)
    except WrongPartitionsError as error:
        if error.partitions > kafka.command_partitions:
            raise
        PartitionGrowth(kafka, client_config).grow()
    risk = make_replicas_safe(AdminClient(dict(client_config)))
    if risk:
        log.warning(risk)


def main() -> int:
    """Create the topics and register the schemas; 0 when all is there. Raises SettingsError."""
    configure_logging("provision", TelemetrySettings())
    kafka = KafkaSettings()
    try:
        prepare_topics(kafka)
    except KafkaException as error:
        log.error("kafka does not answer: check KAFKA_BOOTSTRAP_SERVERS", error=str(error))
        return 1
    except (WrongPartitionsError, GrowthRefusedError, TopicError) as error:
        log.error(str(error))
        return 1
    registry = RegistryClient(RegistrySettings())
    try:
        ids = _register_with_retries(registry)
    except PolystreamError as error:
        log.error("the schemas could not be registered: check SCHEMA_REGISTRY_URL", error=error.message)
        return 1
    finally:
        registry.close()
    log.info("provisioned", schemas=len(ids))
    return 0


def _register_with_retries(registry: RegistryClient) -> dict[str, int]:
    """Register, waiting up to a minute for a registry that is still starting. Raises PolystreamError."""
    give_up_s = time.monotonic() + _REGISTRY_WAIT_MAX_S
    pauses = Backoff(_RETRY_FIRST_S, _RETRY_MAX_S)
    while True:
        try:
            return register_schemas(registry)
        except PolystreamError as error:
            if error.reason is not Reason.REGISTRY_UNAVAILABLE or time.monotonic() > give_up_s:
                raise
            time.sleep(pauses.next_s())


if __name__ == "__main__":
    sys.exit(startup.run(main))
