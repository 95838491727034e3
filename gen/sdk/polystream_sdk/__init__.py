"""The SDK of Polystream: messages and clients, asyncio and synchronous."""

from .polystream.v1 import *
from .polystream.v1 import __all__ as __all__
