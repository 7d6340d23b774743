"""The one base of every error that a user can cause and mend."""


class MelmoatError(Exception):
    """Wrong input or setting. The message says what was expected, what came, and what to do."""
