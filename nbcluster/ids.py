"""The kinds of identifier, as distinct types. Knows no behaviour."""

from typing import NewType

ClientId = NewType("ClientId", str)
"""One connection of one client process; new for each connection."""

EngineNumber = NewType("EngineNumber", int)
"""The public number of an engine. It survives restarts of the engine."""

Incarnation = NewType("Incarnation", int)
"""One life of one engine. Never used twice within a cluster."""

TaskId = NewType("TaskId", str)
"""One unit of work on one engine. Chosen by the client, unique within a cluster."""

CellId = NewType("CellId", str)
"""One submission of one cell; it makes one task for each target engine."""
