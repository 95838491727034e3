"""The native engines, for tests: fetched and prepared once a run."""

from functools import cache

from mesh.engines import native


@cache
def provide_native() -> None:
    """Fetch, verify and prepare the native engines. What it does is shown in the output of a test that fails."""
    native.provide(print)
