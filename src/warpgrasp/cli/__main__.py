"""`python -m warpgrasp.cli`."""

import sys

from warpgrasp.cli import main
from warpgrasp.signals import exit_status

sys.exit(exit_status(main))
