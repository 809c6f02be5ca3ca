"""Boards as Bokeh plots, for pages and dashboards. `figures` alone imports Bokeh. Knows no pages and no clusters."""
