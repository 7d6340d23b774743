"""SpeechT5's recognizer: text from the waveform, letter by letter."""
