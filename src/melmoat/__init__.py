"""melmoat: attack, defend and measure automatic speech recognition."""

__version__ = "0.1.0"
