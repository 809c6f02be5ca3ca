"""The one long-lived process of a cluster: receives, lets the core decide, performs."""
