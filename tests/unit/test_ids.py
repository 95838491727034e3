"""Correlation IDs and what is derived from them."""

import time
import uuid

from mesh import ids


def test_a_new_correlation_id_is_a_uuid_version_7() -> None:
    """It has version and variant of RFC 9562, and tells when it was made."""
    before_ms = time.time_ns() // 1_000_000
    made = ids.new_correlation_id()
    after_ms = time.time_ns() // 1_000_000
    parsed = uuid.UUID(made)
    assert (str(parsed), parsed.version, parsed.variant) == (made, 7, uuid.RFC_4122)
    issued_ms = ids.issue_time_ms(made)
    assert issued_ms is not None
    assert before_ms <= issued_ms <= after_ms


def test_new_correlation_ids_differ() -> None:
    """Ten thousand in a row are all different."""
    assert len({ids.new_correlation_id() for _ in range(10_000)}) == 10_000


def test_a_request_id_gives_the_same_correlation_id_again() -> None:
    """It depends on the caller and the request ID, and on nothing else."""
    first = ids.request_correlation_id("ana", "r1")
    assert first == ids.request_correlation_id("ana", "r1")
    assert first != ids.request_correlation_id("ana", "r2")
    assert first != ids.request_correlation_id("rui", "r1")
    assert ids.issue_time_ms(first) is None


def test_caller_and_request_id_do_not_run_together() -> None:
    """`ab` + `c` is not `a` + `bc`."""
    assert ids.request_correlation_id("ab", "c") != ids.request_correlation_id("a", "bc")


def test_a_derived_user_id_is_the_same_for_every_delivery_and_exact_in_json() -> None:
    """It depends on the correlation ID only and fits 53 bits."""
    correlation_id = ids.new_correlation_id()
    user_id = ids.derived_user_id(correlation_id)
    assert user_id == ids.derived_user_id(correlation_id)
    assert 0 < user_id < 2**53
