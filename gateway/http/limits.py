"""The bounds of the HTTP server: what one client, and all of them together, can hold open."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Every bound of an `HttpServer`. Times are kept by a sweep, so they are exact to `sweep_s`."""

    # One request.
    target_bytes: int = 8_192  # RFC 9110, section 4.1, asks for at least 8,000
    header_bytes: int = 8_192  # one header line
    head_bytes: int = 16_384  # the request line and all header lines
    headers: int = 100
    chunk_overhead_bytes: int = 16_384  # chunk sizes, extensions and trailers, beside what short chunks cost
    head_s: float = 10.0  # from a head's first byte to its last
    body_s: float = 60.0  # from a head's end to the body's
    body_grace_s: float = 5.0  # before a body has to arrive at its least rate
    body_bytes_per_s: int = 1_024
    discarded_body_bytes: int = (
        65_536  # what is read, and thrown away, of a body that nobody wants, to keep a connection
    )

    # One connection.
    idle_s: float = 75.0  # without a request; proxies before the gateway keep theirs for 30 to 60 s
    pipelined: int = 32  # requests that wait for their answers; then no more is read
    turn_requests: int = 16  # requests that are taken in one turn, before other connections have theirs
    write_s: float = 20.0  # in which a client that is behind has to read `write_bytes_per_s`
    write_bytes_per_s: int = 1_024
    write_buffer_bytes: int = 65_536  # what waits for a client before the door has to wait
    half_closed_s: float = 15.0  # for the answers to a client that sends no more: it may as well have left
    linger_s: float = 2.0  # for a client to read a last answer while it still sends
    linger_bytes: int = 1_048_576

    # All of them together.
    connections: int = 10_000
    lingering: int = 256  # connections over the bound that are told so at a time; more are cut
    requests: int = 8_192  # under way
    turn_all_requests: int = 256  # taken from all connections before the event loop goes round
    waiting_bytes: int = 67_108_864  # of bodies and heads that are not whole, and of requests whose turn has not come
    unsent_bytes: int = 134_217_728  # of answers that clients do not read; those who keep most waiting are cut
    backlog: int = 2_048  # connections that the system keeps until they are accepted
    sweep_s: float = 0.5
    leave_idle_s: float = 1.0  # how long a connection stays open without a request once the server leaves

    # Connections that are relayed to the gRPC server.
    relays: int = 1_024
    relay_connect_s: float = 5.0
    relay_idle_s: float = 3_600.0  # without a byte either way
    relay_evict_s: float = 30.0  # without a byte for so long, one may have to go for a new one
    relay_buffer_bytes: int = 262_144  # what waits each way before the sender has to wait
