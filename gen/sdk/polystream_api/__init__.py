"""The messages and stubs of Polystream's API, for the SDK."""

from .polystream.v1 import *
from .polystream.v1 import __all__ as __all__
