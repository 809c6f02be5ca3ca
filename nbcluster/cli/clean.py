"""The verb `clean`. Says what was removed; knows not how."""

from __future__ import annotations

import argparse

from nbcluster.cli.leftovers import clean_all


def clean(arguments: argparse.Namespace) -> int:
    """Remove what clusters that were killed left behind, and say what."""
    done = clean_all()
    print("\n".join(done) if done else "there is nothing to clean")
    return 0
