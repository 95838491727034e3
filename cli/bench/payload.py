"""The command that every subject is sent: a view, as JSON and as a gRPC message.

Of all commands it is the one that a streaming platform takes most often. Each sender has a user of its own, so that
the records' keys spread over the partitions.
"""

import json
import struct

from google.protobuf.message import Message
from polystream.v1.contents_pb2 import Content
from polystream.v1.views_pb2 import RecordViewRequest

COMMAND = "RecordView"
SENDERS = 8
REST_PATH = "/historico-visualizacao"
GRPC_PATH = "/polystream.v1.ViewService/RecordView"
GRPC_HEADERS = (("content-type", "application/grpc"), ("te", "trailers"))
_GRPC_PREFIX = struct.Struct(">?I")  # compressed, length of the message in bytes
_FIRST_USER_ID = 1_000_001


def _view(sender: int) -> RecordViewRequest:
    return RecordViewRequest(
        user_id=_FIRST_USER_ID + sender,
        content_id=5678,
        title="Uma Viagem a Ouro Preto",
        kind=Content.MOVIE,
        watched_seconds=5400,
        position_percent=87.5,
        completed=False,
    )


def json_bodies() -> list[bytes]:
    """Return each sender's command as a REST body."""
    views = [_view(sender) for sender in range(SENDERS)]
    return [
        json.dumps(
            {
                "user_id": view.user_id,
                "content_id": view.content_id,
                "title": view.title,
                "kind": Content.Kind.Name(view.kind),
                "watched_seconds": view.watched_seconds,
                "position_percent": view.position_percent,
                "completed": view.completed,
            }
        ).encode()
        for view in views
    ]


def grpc_bodies() -> list[bytes]:
    """Return each sender's command as a gRPC body."""
    return [framed(_view(sender)) for sender in range(SENDERS)]


def framed(request: Message) -> bytes:
    """Return a gRPC body: one length-prefixed message."""
    message = request.SerializeToString()
    return _GRPC_PREFIX.pack(False, len(message)) + message
