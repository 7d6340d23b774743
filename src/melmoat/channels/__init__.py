"""Channels between an attacker and the recognizer that are not defenses, such as a room."""

import melmoat.defenses  # noqa: F401 - whose table has them: it comes first, whoever imports one
