"""A launcher for tests: engines at other addresses of this machine, or in its network namespaces, as on other hosts.

Such an engine shares no memory with the cluster, and is reached over the network alone. Named as
`launcher="nbcluster.testing.hosts:OtherHosts"`; the engine's variable `NBCLUSTER_TEST_HOST` says where, as an address
("127.0.0.2") or a namespace and its address ("left 10.9.0.1"). Files it shares with the others, as over a network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nbcluster.launchers.base import Command, Host
from nbcluster.launchers.local import LocalLauncher

WHERE = "NBCLUSTER_TEST_HOST"

OTHER_HOSTS = "nbcluster.testing.hosts:OtherHosts"

FIRST_PORT = 20_000
"""A namespace is a test's own: nothing else listens there."""


class OtherHosts(LocalLauncher):
    """Starts engines elsewhere."""

    def choose_host(self, key: str, env: Mapping[str, str]) -> Host:
        """Say where an engine will run."""
        namespace, _, address = env[WHERE].rpartition(" ")
        if not namespace:
            return Host(address, is_here=False)
        first = FIRST_PORT + 5 * (int(key.removeprefix("e")) % 4000)
        return Host(address, is_here=False, ports=tuple(range(first, first + 5)))

    def start(self, commands: Sequence[Command]) -> None:
        """Have the supervisor start each command, in its namespace."""
        super().start([_moved(command) for command in commands])


def _moved(command: Command) -> Command:
    namespace = (command.env[WHERE] or "").rpartition(" ")[0]
    if not namespace:
        return command
    python = (sys.executable, "-P", "-m", "nbcluster.engine.boot")
    return replace(
        command,
        fork=False,
        argv=("ip", "netns", "exec", namespace, *python, *command.argv),
        env={**command.env, "NBCLUSTER_PATH": os.pathsep.join(command.path)},
    )
