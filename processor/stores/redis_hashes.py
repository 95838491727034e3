"""The hash of what a hash key of Redis holds, in a field of it: whoever changes the one leaves the other as it was."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

_HASH_BYTES: Final = 8
# `hash_conteudo` itself, and what later commands change without reading the rest: the key's own expiry tells the same.
_OUTSIDE: Final = frozenset({"hash_conteudo", "expira_em"})


def content_hash(key: str, fields: Mapping[str, object]) -> str:
    """Return the hash of a key's fields, of one too that somebody has added, and of the key itself."""
    words = [key, *(f"{name}\0{fields[name]}" for name in sorted(fields) if name not in _OUTSIDE)]
    return blake2b("\1".join(words).encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).hexdigest()
