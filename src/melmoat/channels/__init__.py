"""Channels between an attacker and the recognizer that are not defenses, such as a room."""
