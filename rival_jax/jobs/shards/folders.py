"""Labels as names of folders, on any file system and for any reader."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from functools import lru_cache

_UNLABELLED = "unlabelled"
_TAKEN = (_UNLABELLED, "metadata.jsonl")
_LONGEST = 200
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?"<>|]')
_DIGEST = re.compile(r"-[0-9a-f]{12}$", re.IGNORECASE)


def folder_of(label: str | None, labels: tuple[str, ...]) -> str:
    """The name of a label's folder, in a dataset with these labels: at most 200 bytes, and no other label's.

    It is the label itself where that serves. Else it ends with a digest: where the label has characters that names of
    files must not have, begins like a hidden file (".", "_") or ends with a dot or a space, or where a file system
    that minds neither case nor Unicode's forms would take it for another one's.
    """
    if label is None:
        return _UNLABELLED
    safe = _UNSAFE.sub("-", label).lstrip("._ ").rstrip(". ")
    itself = label and safe == label and len(label.encode()) <= _LONGEST and not _DIGEST.search(label)
    if itself and _folded(label) not in _shared(labels):
        return label
    digest = hashlib.sha256(label.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    cut = safe.encode()[: _LONGEST - 1 - len(digest)].decode(errors="ignore")
    return f"{cut or 'label'}-{digest}"


@lru_cache(maxsize=4)
def _shared(labels: tuple[str, ...]) -> frozenset[str]:
    """Folded names that stand for more than one thing in the data folder."""
    counts = Counter(map(_folded, (*labels, *_TAKEN)))
    return frozenset(name for name, count in counts.items() if count > 1)


def _folded(label: str) -> str:
    """What names that some file system takes for the same have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
