"""Whisper (Radford et al. 2022): its log-mel, tokens, transcripts, and files in any format."""
