"""Which addresses nobody but this host can hear. Opens nothing."""

from __future__ import annotations

import ipaddress


def is_private(url: str) -> bool:
    """Whether what goes over a url of zmq stays on this host, so that it need not be encrypted.

    Examples
    --------
    >>> is_private("ipc:///run/e1-1"), is_private("tcp://127.0.0.1:5000"), is_private("tcp://10.0.0.1:5000")
    (True, True, False)
    """
    if not url.startswith("tcp://"):
        return True
    try:
        return ipaddress.ip_address(url.removeprefix("tcp://").rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:  # a name, which may lead anywhere
        return False
