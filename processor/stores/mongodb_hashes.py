"""The hash of a document's content, which is in the document: whoever changes the one leaves the other as it was."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import bson
from bson.int64 import Int64

from mesh.store_names.mongodb import CONTENT_HASH

_HASH_BYTES: Final = 8


def content_hash(document: Mapping[str, Any]) -> Int64:
    """Return the hash of a document, of a field too that somebody has added, but not of the hash itself."""
    content = {name: document[name] for name in sorted(document) if name != CONTENT_HASH}
    digest = blake2b(bson.encode(content), digest_size=_HASH_BYTES).digest()
    return Int64(int.from_bytes(digest, "big", signed=True))
