"""``python -m fiducial``."""

import sys

from fiducial.cli import main

sys.exit(main())
