"""Decodes audio files to their end, and checks them against their headers.

It does not need PyTorch, so a small separate process can do it.
"""

from melmoat.decoding.decode import (
    FASTEST,
    SLOWEST,
    SUFFIXES,
    AudioError,
    Decoded,
    Probe,
    decode,
    probe,
)
from melmoat.decoding.mixing import Channel, channel_of

__all__ = [
    "FASTEST",
    "SLOWEST",
    "SUFFIXES",
    "AudioError",
    "Channel",
    "Decoded",
    "Probe",
    "channel_of",
    "decode",
    "probe",
]
