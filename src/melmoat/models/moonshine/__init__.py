"""Moonshine (Jeffries et al. 2024): from the waveform to tokens, and its files in any format."""
