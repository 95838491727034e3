"""What all pages of the platform look like: one set of colours and fonts, and one logo."""

from pathlib import Path
from typing import Final

LOOK: Final = Path(__file__).parent
TOKENS: Final = LOOK / "tokens.css"
LOGO: Final = LOOK / "logo.svg"
