"""The garbage collector of a service: off while it starts, then blind to what stays for good.

Importing makes some two hundred thousand objects, and looking through them again and again took a sixth of a start.
This module imports nothing else, so that it can come first.
"""

import gc

_COLLECT_AFTER = 20_000  # objects; the default is 700, less than what 128 commands under way hold


def pause() -> None:
    """Collect nothing for now. To be called before anything else is imported."""
    gc.disable()


def resume() -> None:
    """Collect again, seldom, and never look at what there is by now: that took a tenth of a command's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    gc.enable()
