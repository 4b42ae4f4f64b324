"""The root of every error that a user can cause."""


class UserError(ValueError):
    """One clear sentence: what was expected, what came, what to do. The command line prints it without a traceback."""
