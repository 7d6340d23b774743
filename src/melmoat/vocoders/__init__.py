"""Vocoders, by spec string: from a log-mel spectrogram back to a waveform."""

from melmoat.vocoders.base import Vocoder, synthesise
from melmoat.vocoders.griffin_lim import GriffinLim, GriffinLimConfig
from melmoat.vocoders.hifigan import HiFiGAN, HiFiGANConfig
from melmoat.vocoders.load import VOCODERS, load
from melmoat.vocoders.mel import LAB_MEL, MelSpec
from melmoat.vocoders.melgan import MelGAN, MelGANConfig
from melmoat.vocoders.parallel_wavegan import ParallelWaveGAN, ParallelWaveGANConfig

__all__ = [
    "LAB_MEL",
    "VOCODERS",
    "GriffinLim",
    "GriffinLimConfig",
    "HiFiGAN",
    "HiFiGANConfig",
    "MelGAN",
    "MelGANConfig",
    "MelSpec",
    "ParallelWaveGAN",
    "ParallelWaveGANConfig",
    "Vocoder",
    "load",
    "synthesise",
]
