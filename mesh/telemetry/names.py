"""Every span name that the platform writes, and every attribute of its spans and metrics.

Where OpenTelemetry's semantic conventions have a name (for messaging, RPC and database clients), it is that one;
`polystream.` stands before the others.
"""

from typing import Final

# Spans, in the order in which a command makes them.
GATEWAY_SEND: Final = "send user_events"  # PRODUCER, until Kafka has acknowledged
LANE_PROCESS: Final = "process user_events"  # CONSUMER, from the read to the receipt
LANE_STORE: Final = "{command} {store}"  # CLIENT, the store's part: `CreateUser postgresql`
LANE_SEND: Final = "send response_events"  # PRODUCER, until Kafka has acknowledged
GATEWAY_PROCESS: Final = "process response_events"  # CONSUMER, until the operation is updated

# Attributes.
CONVERSATION_ID: Final = "messaging.message.conversation_id"  # the correlation ID
MESSAGING_SYSTEM: Final = "messaging.system"  # kafka
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"  # send, process
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"  # send, process
MESSAGING_DESTINATION: Final = "messaging.destination.name"  # the topic
MESSAGING_PARTITION: Final = "messaging.destination.partition.id"
MESSAGING_OFFSET: Final = "messaging.kafka.offset"
MESSAGING_GROUP: Final = "messaging.consumer.group.name"
RPC_SYSTEM: Final = "rpc.system.name"  # grpc
RPC_METHOD: Final = "rpc.method"  # package.Service/Method
RPC_STATUS: Final = "rpc.response.status_code"  # OK, INVALID_ARGUMENT, ...
HTTP_METHOD: Final = "http.request.method"  # GET, POST, ..., of a call over REST
HTTP_ROUTE: Final = "http.route"  # the path template
URL_SCHEME: Final = "url.scheme"  # http
DB_SYSTEM: Final = "db.system.name"  # postgresql, mongodb, redis
DB_OPERATION: Final = "db.operation.name"  # the command applied
DB_BATCH_SIZE: Final = "db.operation.batch.size"  # commands written in the same step
ERROR_TYPE: Final = "error.type"  # the error's reason
COMMAND: Final = "polystream.command"
STORE: Final = "polystream.store"
STATE: Final = "polystream.state"  # SUCCEEDED, FAILED
DUPLICATE: Final = "polystream.duplicate"
DOOR: Final = "polystream.door"  # grpc, grpc_web, rest
OUTCOME: Final = "polystream.outcome"  # what became of a command at a door, or in a lane
DEPENDENCY: Final = "polystream.dependency"  # what a part works with, as its health names it
HEALTH_STATE: Final = "polystream.health.state"  # HEALTHY, DEGRADED, UNHEALTHY
CAUSE: Final = "polystream.cause"  # why something was dropped
CPU_MODE: Final = "cpu.mode"  # user, system
