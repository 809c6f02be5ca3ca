"""The `nbcluster` command."""
