"""Which part a text belongs to: to train on, to calibrate on, or to test on."""

from __future__ import annotations

import hashlib

_TRAIN, _CALIBRATE = 0.70, 0.85


def split_of(group: str) -> str:
    """Return train, calibrate or test by the hash of the text's group, so that additions move nothing."""
    place = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=4).digest(), "big") / 2**32
    return "train" if place < _TRAIN else "calibrate" if place < _CALIBRATE else "test"
