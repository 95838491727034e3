"""Which incarnation of the commands' topic the offsets belong to."""

from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaException

from mesh.errors import PolystreamError, Reason
from mesh.topics import COMMANDS, topic_incarnation

_LOG = structlog.get_logger(__name__)
_TIMEOUT_S = 5.0


class TopicIncarnation:
    """The topic's ID, asked of the broker when it is first needed and after every sign that it may have changed.

    A topic that is made anew starts over at offset 0: positions that a store has kept are compared only with
    offsets of the same incarnation.
    """

    def __init__(self, client_config: Mapping[str, str | int | bool]) -> None:
        self._client_config = client_config
        self._topic_id: str | None = None

    def __call__(self) -> str:
        """Return the ID. Raises PolystreamError with KAFKA_UNAVAILABLE when the broker does not tell it."""
        if self._topic_id is None:
            try:
                self._topic_id = topic_incarnation(self._client_config, COMMANDS, timeout_s=_TIMEOUT_S)
            except (KafkaException, TimeoutError) as error:
                raise PolystreamError(Reason.KAFKA_UNAVAILABLE) from error
            _LOG.info("topic incarnation", topic=COMMANDS, topic_id=self._topic_id)
        return self._topic_id

    def forget(self) -> None:
        """Ask again the next time: partitions were assigned, or offsets went back."""
        self._topic_id = None
