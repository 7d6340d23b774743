"""Recognizers, by spec string."""

from melmoat.models.base import CTCRecognizer, Recognizer
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from melmoat.models.load import MODELS, load
from melmoat.models.wrappers import Defended, Expected, Smoothed, Voted

__all__ = [
    "MODELS",
    "CTCRecognizer",
    "DeepSpeech2",
    "DeepSpeech2Config",
    "Defended",
    "Expected",
    "Recognizer",
    "Smoothed",
    "Voted",
    "load",
]
