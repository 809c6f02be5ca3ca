"""How an engine marks what its controller must hear of what it publishes. Knows no sockets.

A kernel publishes four messages for a cell that shows nothing: busy, the code, idle, and its reply. Front ends want
all of them. A controller has use for the reply alone, so it subscribes to `TOPIC`, which is put before the topic of
outputs, of comms, and of the idle status of cells that showed something. Of the others the reply says so.
"""

from __future__ import annotations

TOPIC = b"nbcluster."
"""What the first frame of a published message begins with when a controller must hear it."""

FEATURE = "nbcluster topics"
"""The name under which kernel_info says that the kernel marks what it publishes."""

QUIET = "quiet"
"""The key, beside our others in a reply's metadata, that says that its cell published nothing, and no idle follows."""
