"""The magics and what they draw."""
