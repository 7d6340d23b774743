"""Sentences as vectors whose angle says how far two meanings lie apart (extra ``semantic``)."""

from melmoat.semantic.encoder import Sentences, distance
from melmoat.semantic.loading import load

__all__ = ["Sentences", "distance", "load"]
