"""Interactive clusters for notebooks: every engine a real Jupyter kernel, every cell's output in its cell."""

__version__ = "0.1.0"
