"""The list of opt-outs is about tests that exist."""

import re
from pathlib import Path

from tests.conformance.opt_outs import OPT_OUTS


def test_every_opt_out_names_a_test() -> None:
    """A test that was renamed takes its opt-out along."""
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tests = set(re.findall(r"def (test_\w+)", sources))
    listed = {name.partition("[")[0] for names in OPT_OUTS.values() for name in names}
    assert listed <= tests
