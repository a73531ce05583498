"""`python -m emotalk_core doctor` and the other sub-commands of `emotalk`."""

import sys

from emotalk_core.cli import main

sys.exit(main())
