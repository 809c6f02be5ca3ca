"""How the statements of a cell depend on one another, read from its text. Knows no IPython, no engines, no I/O."""
