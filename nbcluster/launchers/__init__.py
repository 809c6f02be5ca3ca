"""Ways to start engine processes somewhere; plug-ins of a few verbs."""
