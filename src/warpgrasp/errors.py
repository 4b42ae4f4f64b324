"""The root of every error that a user can cause.

What every loader raises.
"""


class UserError(ValueError):
    """One clear sentence: what was expected, what came, what to do. The command line prints it without a traceback."""


class DataError(UserError):
    """A data set is not what it should be: one sentence saying what was expected, what came, what to do."""
