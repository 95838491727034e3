"""Closing what a library leaves to the garbage collector."""

import gc
import warnings

from gateway.queries.stores import Stores


async def close_stores(stores: Stores) -> None:
    """Close the stores' clients.

    A MongoDB client that is closed while it connects leaves its socket to the garbage collector, which complains at
    whatever test runs then: it collects here.
    """
    await stores.close()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        gc.collect()
