"""Runs the command line as `python -m nbcluster`. Knows nothing of its own."""

import sys

from nbcluster.cli.main import main

sys.exit(main())
