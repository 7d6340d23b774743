"""One signal in every container and coding that the two libraries write."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
LENGTH = 16_000

# (container, coding) of libsndfile, and how many bits it keeps exactly; 0: it is lossy.
SNDFILE = {
    ("WAV", "PCM_U8"): 8,
    ("WAV", "PCM_16"): 16,
    ("WAV", "PCM_24"): 16,
    ("WAV", "PCM_32"): 16,
    ("WAV", "FLOAT"): 16,
    ("WAV", "DOUBLE"): 16,
    ("WAV", "ULAW"): 0,
    ("WAV", "ALAW"): 0,
    ("WAV", "IMA_ADPCM"): 0,
    ("WAV", "MS_ADPCM"): 0,
    ("WAVEX", "PCM_16"): 16,
    ("RF64", "PCM_16"): 16,
    ("W64", "PCM_16"): 16,
    ("W64", "FLOAT"): 16,
    ("AIFF", "PCM_16"): 16,
    ("AIFF", "PCM_24"): 16,
    ("AIFF", "FLOAT"): 16,
    ("AU", "PCM_16"): 16,
    ("AU", "ULAW"): 0,
    ("AU", "FLOAT"): 16,
    ("CAF", "PCM_16"): 16,
    ("CAF", "ALAC_16"): 16,
    ("NIST", "PCM_16"): 16,
    ("NIST", "ULAW"): 0,
    ("VOC", "PCM_16"): 16,
    ("FLAC", "PCM_16"): 16,
    ("FLAC", "PCM_24"): 16,
    ("OGG", "VORBIS"): 0,
    ("OGG", "OPUS"): 0,
    ("MP3", "MPEG_LAYER_III"): 0,
}
# (format, coder, rate) of FFmpeg. All but FLAC, ALAC and PCM are lossy.
FFMPEG = [
    ("mp4", "aac", 16_000),
    ("mp4", "alac", 16_000),
    ("mov", "aac", 16_000),
    ("adts", "aac", 16_000),
    ("webm", "libopus", 48_000),
    ("matroska", "flac", 16_000),
    ("ogg", "flac", 16_000),
    ("amr", "libopencore_amrnb", 8_000),
    ("3gp", "libopencore_amrnb", 8_000),
    ("mp2", "mp2", 16_000),
    ("mp3", "libmp3lame", 16_000),
    ("ac3", "ac3", 32_000),
    ("asf", "wmav2", 16_000),
    ("tta", "tta", 16_000),
]


def signal(rate: int = RATE, seconds: float = 1.0) -> NDArray[np.float32]:
    """A rising tone of 16-bit samples, of the same sound at any rate, loud to its very end."""
    t = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (300 * t + 400 * t**2))
    return (np.round(wave * 32_768) / 32_768).astype(np.float32)


def by_sndfile(container: str, coding: str, wave: NDArray[Any], rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=container, subtype=coding)
    return file.getvalue()


def by_ffmpeg(kind: str, coder: str, wave: NDArray[np.float32], rate: int) -> bytes:
    """``wave`` may be mono or ``[n, channels]``."""
    file = io.BytesIO()
    layout = "mono" if wave.ndim == 1 else "stereo"
    planes = np.atleast_2d(wave.T)
    with av.open(file, "w", format=kind) as out:
        stream = out.add_stream(coder, rate=rate, layout=layout)
        if coder == "wmav2":  # which has no bit rate of its own
            stream.bit_rate = 48_000
        kinds = [f.name for f in stream.codec_context.codec.audio_formats]
        wanted = next(f for f in ("s16", "s16p", "flt", "fltp") if f in kinds)
        stream.codec_context.format = wanted
        scaled = planes if "flt" in wanted else np.round(planes * 32_768).astype(np.int16)
        packed = scaled if wanted.endswith("p") else scaled.T.reshape(1, -1)
        width = 1 if wanted.endswith("p") else len(planes)
        size = stream.codec_context.frame_size or 1024
        for at in range(0, planes.shape[1], size):
            part = np.ascontiguousarray(packed[:, at * width : (at + size) * width])
            frame = av.AudioFrame.from_ndarray(part, wanted, layout)
            frame.sample_rate, frame.pts = rate, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()
