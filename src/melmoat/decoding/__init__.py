"""Files of sound, decoded to their end, and checked against what their headers say.

Needs no PyTorch, so that a process of its own can do it.
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
