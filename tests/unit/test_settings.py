"""Settings whose values depend on one another."""

import pytest

from mesh.settings import KafkaSettings


@pytest.mark.parametrize("session_timeout_ms", [2000, 6000, 45_000])
def test_a_member_gives_several_signs_of_life_within_its_timeout(session_timeout_ms: int) -> None:
    """Else its group gives it up again and again, while nothing is wrong."""
    config = KafkaSettings(session_timeout_ms=session_timeout_ms).group_config("monitor")
    assert config["session.timeout.ms"] == session_timeout_ms
    assert 0 < int(config["heartbeat.interval.ms"]) <= session_timeout_ms / 3
