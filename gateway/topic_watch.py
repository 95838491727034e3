"""Whether the topics are those that commands and answers go through: asked of the broker once a second, by a thread.

A topic may be deleted under a platform that runs. A broker may go on to acknowledge records that then are nowhere, and
made anew it is another topic. So the gateway takes no command while one that it needs is missing or wrong.

Whether what is acknowledged may be lost with one broker is asked once a minute. It is told, and commands are taken: how
much a cluster keeps is for whoever runs it to say.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from mesh import topics
from mesh.kafka import QUIET_CONFIG
from mesh.settings import KafkaSettings
from mesh.threads import CriticalThreads
from mesh.topic_replicas import TopicReplicas, describe_replicas, total_risk

_INTERVAL_S: Final = 1.0
_REPLICAS_INTERVAL_S: Final = 60.0
_TIMEOUT_S: Final = 3.0
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID)

log = structlog.stdlib.get_logger(__name__)


class FoundTopic(NamedTuple):
    """What the broker tells of a topic."""

    topic_id: str
    partitions: int


class Sends(Protocol):
    """Who sends commands."""

    def refuse(self, why: str) -> None:
        """Take no command from now on; an empty reason takes them again."""

    def renew(self) -> None:
        """Forget what the broker knew of it: the topic is another one."""


class TopicWatch:
    """Looks at the topics, and tells who sends commands. What it has found may be read by any thread.

    Where the broker does not answer nothing is told of the topics, and what was told last stands.
    """

    def __init__(self, kafka: KafkaSettings, client_id: str, threads: CriticalThreads, producer: Sends) -> None:
        """`client_id` is the name that brokers log its client under."""
        self._client_config = {**kafka.client_config(client_id), **QUIET_CONFIG}
        self._command_partitions = kafka.command_partitions
        self._producer = producer
        self._commands_id = ""
        self._stopping = threading.Event()
        self._thread = threads.new("topic-watch", self._run)
        self._replicas_due_s = 0.0  # on the monotonic clock
        self.trouble = ""  # what is wrong with any of the topics, in a sentence; empty where nothing is
        self.risk = ""  # how what is acknowledged may be lost, in a sentence; empty where it may not

    def start(self) -> None:
        """Begin to look. Waits for nothing."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Blocks for as long as a look may take."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def take(self, found: Mapping[str, FoundTopic | None]) -> None:
        """Take what was found of each of the three topics: None where there is no such topic."""
        sentences = {name: self._sentence(name, topic) for name, topic in found.items()}
        trouble = "; ".join(filter(None, sentences.values()))
        refusal = sentences.get(topics.COMMANDS, "") or sentences.get(topics.RECEIPTS, "")
        if trouble != self.trouble:
            (log.error if trouble else log.info)("topics", trouble=trouble or "none")
        commands = found.get(topics.COMMANDS)
        if commands is not None and commands.topic_id != self._commands_id:
            was_another, self._commands_id = bool(self._commands_id), commands.topic_id
            if was_another:
                log.error("the commands' topic was made anew", topic=topics.COMMANDS, topic_id=commands.topic_id)
                self._producer.renew()
        self._producer.refuse(refusal)
        self.trouble = trouble

    def take_replicas(self, found: Sequence[TopicReplicas]) -> None:
        """Take how the topics are replicated."""
        risk = total_risk(found)
        if risk != self.risk:
            (log.warning if risk else log.info)("replicas", risk=risk or "none")
        self.risk = risk

    def _run(self) -> None:
        admin: AdminClient | None = None
        while True:
            admin = admin or AdminClient(dict(self._client_config))
            found = _look(admin)
            if len(found) == len(topics.ALL_TOPICS):
                self.take(found)
                self._look_at_replicas(admin)
            else:  # one that met a broker's absence may never get over it
                admin = None
            if self._stopping.wait(_INTERVAL_S):
                return

    def _look_at_replicas(self, admin: AdminClient) -> None:
        if time.monotonic() < self._replicas_due_s:
            return
        try:
            self.take_replicas(describe_replicas(admin, timeout_s=_TIMEOUT_S))
        except KafkaException:
            return  # the next look is soon
        self._replicas_due_s = time.monotonic() + _REPLICAS_INTERVAL_S

    def _sentence(self, name: str, topic: FoundTopic | None) -> str:
        """Return what is wrong with a topic, and what to do; empty where nothing is."""
        if topic is None:
            return f"there is no topic {name}, and what it held is lost: `python -m stack.provision` makes it again"
        if name == topics.COMMANDS and topic.partitions != self._command_partitions:
            return topics.wrong_partitions(topic.partitions, self._command_partitions)
        return ""


def _look(admin: AdminClient) -> dict[str, FoundTopic | None]:
    """Return what the broker tells; nothing of a topic that it tells nothing of."""
    found: dict[str, FoundTopic | None] = {}
    try:
        # Describing makes no topic: asking for its metadata by name may, with as many partitions as the broker likes.
        asked = admin.describe_topics(TopicCollection([*topics.ALL_TOPICS]), request_timeout=_TIMEOUT_S)
    except KafkaException:
        return found
    for name, future in asked.items():
        try:
            told = future.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() in _MISSING:
                found[name] = None
        except TimeoutError:
            return found
        else:
            found[name] = FoundTopic(str(told.topic_id), len(told.partitions))
    return found
