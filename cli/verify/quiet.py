"""Waiting until a platform that was under load and faults is quiet again: everything answered, read and told."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Final

import grpc
import httpx
from polystream.v1.operations_pb2 import GetOperationRequest, Operation
from polystream.v1.operations_pb2_grpc import OperationServiceStub

from cli.verify.doors import open_channel
from cli.verify.fault_world import STORES
from cli.verify.load import Progress
from cli.verify.platform import VerifiedPlatform
from mesh import topics
from mesh.settings import KafkaSettings
from mesh.topic_reader import GroupPosition, TopicError, TopicReader
from mesh.topics import lane_group

_PAUSE_S: Final = 0.3
_CALL_TIMEOUT_S: Final = 10.0


def wait_until_quiet(
    platform: VerifiedPlatform, correlation_ids: Sequence[str], max_s: float, progress: Progress
) -> list[str]:
    """Wait, for `max_s` seconds a step at the most, and return what did not come: a sentence each.

    Operations that do not come are not among it: the checks name them one by one.
    """
    unwell: list[str] = []
    progress("waiting until every process is ready")
    if not platform.wait_for(lambda: _sick(platform) == "", max_s):
        unwell.append(f"not ready: {_sick(platform)}")
    with open_channel(platform.endpoint("grpc")) as channel:
        stub = OperationServiceStub(channel)
        progress("waiting until every operation is final")
        _wait_for_each(correlation_ids, lambda one: _is_final(stub, one), max_s)
        progress("waiting until every lane has read everything")
        behind = _lanes_behind(platform, max_s)
        if behind:
            unwell.append(behind)
    progress("waiting until the platform says that it is well")
    said: list[str] = []
    if not platform.wait_for(lambda: _is_well(platform, said), max_s):
        unwell.append(f"health: {said[-1] if said else 'no answer'}")
    return unwell


def _sick(platform: VerifiedPlatform) -> str:
    parts = [process for process in platform.state.processes if process.status != "ready"]
    return ", ".join(f"{process.name} is {process.status} {process.detail}".rstrip() for process in parts)


def _wait_for_each(correlation_ids: Sequence[str], holds: Callable[[str], bool], max_s: float) -> None:
    """Wait until something holds for each, for so long at most in all."""
    give_up_s = time.monotonic() + max_s
    left = list(correlation_ids)
    while left and time.monotonic() < give_up_s:
        left = [one for one in left if not holds(one)]
        if left:
            time.sleep(_PAUSE_S)


def _is_final(stub: OperationServiceStub, correlation_id: str) -> bool:
    with suppress(grpc.RpcError):
        operation = stub.GetOperation(GetOperationRequest(correlation_id=correlation_id), timeout=_CALL_TIMEOUT_S)
        return bool(operation.state != Operation.ACCEPTED)
    return False


def _lanes_behind(platform: VerifiedPlatform, max_s: float) -> str:
    """Wait until each lane has committed what there is; return which has not, empty where all have."""
    kafka = KafkaSettings(bootstrap_servers=platform.endpoint("kafka"))
    give_up_s = time.monotonic() + max_s
    with ExitStack() as stack:
        reader = stack.enter_context(TopicReader(kafka))
        lanes = {store: stack.enter_context(GroupPosition(kafka, lane_group(store))) for store in STORES}
        behind = "Kafka does not answer"
        while True:
            with suppress(TopicError):
                ends = reader.ends(topics.COMMANDS)
                at = {store: lane.committed(topics.COMMANDS, list(ends)) for store, lane in lanes.items()}
                late = [
                    f"{store} {partition}@{at[store].get(partition, 0)} of {end}"
                    for store in STORES
                    for partition, end in ends.items()
                    if at[store].get(partition, 0) < end
                ]
                behind = f"lanes are behind: {', '.join(late)}" if late else ""
            if not behind or time.monotonic() > give_up_s:
                return behind
            time.sleep(_PAUSE_S)


def _is_well(platform: VerifiedPlatform, said: list[str]) -> bool:
    with suppress(httpx.HTTPError, ValueError):
        health = httpx.get(f"{platform.endpoint('rest')}/health", timeout=_CALL_TIMEOUT_S, trust_env=False).json()
        sick = [one for one in health["components"] if one["status"] != "HEALTHY"]
        said.append("; ".join(f"{one['name']} {one['status']} {one.get('detail', '')}" for one in sick))
        return bool(health["status"] == "HEALTHY")
    return False
