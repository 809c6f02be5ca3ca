"""Tools for tests of nbcluster and of programs that use it."""
