"""What every loader raises."""

from warpgrasp.errors import UserError


class DataError(UserError):
    """A data set is not what it should be: one sentence saying what was expected, what came, what to do."""
