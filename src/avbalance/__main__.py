"""`python -m avbalance`: the command line."""

import sys

from avbalance.cli import main

sys.exit(main())
