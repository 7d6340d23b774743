"""Vocoders: from a log-mel spectrogram back to a waveform."""

from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.melgan import MelGAN, MelGANConfig
from melmoat.vocoders.parallel_wavegan import ParallelWaveGAN, ParallelWaveGANConfig

__all__ = ["MelGAN", "MelGANConfig", "ParallelWaveGAN", "ParallelWaveGANConfig", "Vocoder"]
