"""Puts the generated messages beside the SDK, from the checkout or from the source distribution."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGE = "polystream_api"


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the package of the generated messages to what is built."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Name the package's folder: a source distribution has brought it along, a checkout generates it."""
        root = Path(self.root)
        places = [root / "src" / _PACKAGE, root.parent / "gen" / "sdk" / _PACKAGE]
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise FileNotFoundError(f"{_PACKAGE} is not there: build from a checkout or a source distribution")
        target = _PACKAGE if self.target_name == "wheel" else f"src/{_PACKAGE}"
        build_data["force_include"][str(found)] = target
