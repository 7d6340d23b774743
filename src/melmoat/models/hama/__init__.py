"""Recognizers of phonemes, whose weights the package hama carries."""
