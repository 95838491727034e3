"""Receipts: what a store answers to a command, as it travels on `response_events`."""

import time

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh.dead_letters.dead_letter import RecordPosition
from mesh.errors import PolystreamError
from mesh.operation import TYPE_URL_PREFIX
from mesh.store_errors import fail
from processor.model import Delivery, Outcome


def make_receipt(delivery: Delivery, outcome: Outcome, store: str, complete_time_ns: int) -> CommandReceipt:
    """Return a store's answer to a delivered command. `complete_time_ns` is since the epoch."""
    user_id = getattr(delivery.request, delivery.command.key_field) if delivery.command.about_user else None
    receipt = CommandReceipt(
        correlation_id=delivery.correlation_id,
        command=delivery.command.name,
        store=store,
        state=Operation.SUCCEEDED,
        accept_time=_timestamp(delivery.accept_time_ms * 1_000_000),
        receive_time=_timestamp(delivery.receive_time_ns),
        complete_time=_timestamp(complete_time_ns),
        user_id=user_id or None,
        command_partition=delivery.partition,
        command_offset=delivery.first_position.offset,
        request_fingerprint=delivery.request_fingerprint or None,
    )
    if outcome.refusal is not None:
        fail(receipt, outcome.refusal)
    elif outcome.result is not None:
        receipt.result.type_url = TYPE_URL_PREFIX + str(outcome.result.DESCRIPTOR.full_name)
        receipt.result.value = outcome.result.SerializeToString()
        # A user created without an ID has got one: the result knows it.
        if user_id == 0:
            receipt.user_id = getattr(outcome.result, delivery.command.key_field)
    return receipt


def make_dead_letter_receipt(
    *,
    correlation_id: str,
    command: str,
    store: str,
    position: RecordPosition,
    cause: PolystreamError,
    user_id: int | None,
    accept_time_ms: int,
    receive_time_ns: int,
    complete_time_ns: int,
    request_fingerprint: bytes,
) -> CommandReceipt:
    """Return the answer to a record that went to the dead-letter topic, decoded or not.

    `position` is where the record was before any redrive. `request_fingerprint` is empty where it has none.
    """
    receipt = CommandReceipt(
        correlation_id=correlation_id,
        command=command,
        store=store,
        accept_time=_timestamp(accept_time_ms * 1_000_000),
        receive_time=_timestamp(receive_time_ns),
        complete_time=_timestamp(complete_time_ns),
        dead_lettered=True,
        user_id=user_id,
        command_partition=position.partition,
        command_offset=position.offset,
        request_fingerprint=request_fingerprint or None,
    )
    fail(receipt, cause)
    return receipt


def wait_behind(delivery: Delivery, behind: str, store: str) -> CommandReceipt:
    """Return the answer to a command that has to wait behind the one that has this correlation ID."""
    receipt = make_receipt(delivery, Outcome(), store, time.time_ns())
    receipt.state = Operation.ACCEPTED
    receipt.waits_behind = behind
    return receipt


def waiting_instead(receipt: CommandReceipt, behind: str) -> CommandReceipt:
    """Return the answer to a record that would have been given up, as this receipt says, and waits instead."""
    waiting = CommandReceipt()
    waiting.CopyFrom(receipt)
    waiting.ClearField("error")
    waiting.dead_lettered = False
    waiting.state = Operation.ACCEPTED
    waiting.waits_behind = behind
    return waiting


def repeat(receipt: CommandReceipt) -> CommandReceipt:
    """Return a copy of an earlier answer, marked as a duplicate."""
    copy = CommandReceipt()
    copy.CopyFrom(receipt)
    copy.duplicate = True
    return copy


def _timestamp(since_epoch_ns: int) -> Timestamp:
    return Timestamp(seconds=since_epoch_ns // 1_000_000_000, nanos=since_epoch_ns % 1_000_000_000)
