"""`python -m warpgrasp.cli`."""

import sys

from warpgrasp.cli import main

sys.exit(main())
