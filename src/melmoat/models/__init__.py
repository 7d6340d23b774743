"""Recognizers, by spec string."""

from melmoat.models.base import CTCRecognizer, Recognizer
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from melmoat.models.load import MODELS, load
from melmoat.models.wrappers import EOT, Defended, Smoothed, Voted

__all__ = [
    "EOT",
    "MODELS",
    "CTCRecognizer",
    "DeepSpeech2",
    "DeepSpeech2Config",
    "Defended",
    "Recognizer",
    "Smoothed",
    "Voted",
    "load",
]
