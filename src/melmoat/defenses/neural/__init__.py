"""Neural codecs with residual vector quantisers, as a defense."""

from melmoat.defenses.neural.front_end import NeuralCodec, neural_codec

__all__ = ["NeuralCodec", "neural_codec"]
