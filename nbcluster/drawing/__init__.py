"""Draws boards as text, HTML and SVG. Pure: no clock, no I/O, no notebook."""
