"""The controller's process from its first to its last line. Knows the order of things, none of the things."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import secrets
import shutil
import signal
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import zmq

from nbcluster.controller.config import ControllerConfig
from nbcluster.controller.driver import Controller
from nbcluster.controller.supervisor import SupervisorLink
from nbcluster.errors import ClusterExists, LauncherError, NBClusterError
from nbcluster.protocol import codec
from nbcluster.protocol.messages import PROTOCOL_VERSION, Request
from nbcluster.transport import shareddirs
from nbcluster.transport.ends import bind_hub
from nbcluster.transport.rendezvous import ConnectionFile, boot_id, write_connection_file
from nbcluster.transport.wire import Wire
from nbcluster.transport.zmqports import Curve
from nbcluster.version import __version__

log = logging.getLogger(__name__)

GARBAGE_AFTER = 50_000
"""New objects between two looks for cycles, which records of waiting calls are not part of. With Python's own
threshold (700) a third of the controller's time under many calls went there."""


def run(config: dict[str, Any], supervisor: socket.socket, ready: BinaryIO) -> int:
    """Run a controller until it is stopped.

    Parameters
    ----------
    config : dict
        The supervisor's; "options" holds the fields of ControllerConfig.
    supervisor : socket.socket
        The line to the parent.
    ready : file
        Receives one line of JSON: {"ok": true, "file": …} or {"ok": false, "error": …, "message": …}.

    Returns
    -------
    int
        The exit code of the process.
    """
    try:
        options = msgspec.convert(config["options"], ControllerConfig)
        os.umask(0o077)  # whatever this process makes is its owner's alone
        logging.basicConfig(
            filename=os.path.join(options.directory, "controller.log"),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            level=logging.INFO,
        )
        gc.freeze()
        gc.set_threshold(GARBAGE_AFTER, 20, 100)
        with _lock(options):
            asyncio.run(_serve(options, supervisor, ready))
    except NBClusterError as error:
        _say(ready, {"ok": False, "error": type(error).__name__, "message": str(error)})
        return 1
    except Exception:
        _say(ready, {"ok": False, "error": "LauncherError", "message": traceback.format_exc()})
        raise
    return 0


async def _serve(options: ControllerConfig, supervisor: socket.socket, ready: BinaryIO) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    loop = asyncio.get_running_loop()
    key = secrets.token_hex(32)
    file = Path(options.connection_file)
    curve = None
    urls = [f"unix:{options.directory}/c", f"unix:{options.directory}/t"]
    if options.transport == "tcp":
        public, secret = zmq.curve_keypair()
        curve, urls = Curve(public, secret), [f"tcp://{options.address}"] * 2
    try:
        clients, tasks = (bind_hub(context, url, curve) for url in urls)
    except (zmq.ZMQError, OSError) as error:
        raise LauncherError(f"the controller cannot listen at {urls}: {error}") from error
    controller: Controller
    options, in_use = _make_shared(options)

    def supervisor_lost() -> None:
        log.error("the supervisor has gone; ending the cluster")
        controller.abandon("its supervisor was lost")
        for path in filter(None, (options.shared, options.spill)):
            shareddirs.remove(path)
        shutil.rmtree(options.directory, ignore_errors=True)  # nobody else is left to do it

    link = SupervisorLink(supervisor, supervisor_lost)
    controller = Controller(options, context, link)
    wire: Wire[Request] = Wire(
        clients,
        key.encode(),
        codec.decode_request,
        controller.arrived,
        controller.unreadable,
        on_gone=lambda identity: controller.peer_left(),
    )
    controller.serve(wire, tasks, curve)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, controller.stop_soon, f"received {signum.name}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    write_connection_file(
        file,
        ConnectionFile(
            options.name,
            clients.url,
            key,
            os.getpid(),
            os.getppid(),
            socket.gethostname(),
            boot_id(),
            options.directory,
            __version__,
            PROTOCOL_VERSION,
            curve.public.decode() if curve is not None else "",
            options.shared,
            options.spill,
        ),
    )
    _say(ready, {"ok": True, "file": str(file)})
    try:
        await controller.stopped.wait()
    finally:
        file.unlink(missing_ok=True)
        wire.close()
        link.close()
        context.term()
        for fd in in_use:
            os.close(fd)


def _make_shared(options: ControllerConfig) -> tuple[ControllerConfig, list[int]]:
    """Make the directories of shared memory and of what leaves it; return the options, without those that cannot be.

    Also returns descriptors that say, as long as they are open, that the directories are in use.
    """
    in_use = []
    if options.spill:
        try:
            in_use.append(shareddirs.make(Path(options.spill), options.directory))
        except OSError as error:
            log.warning("no value goes to disk: %s cannot be made: %s", options.spill, error)
            options = msgspec.structs.replace(options, spill="")
    if options.shared:
        try:
            in_use.append(shareddirs.make(Path(options.shared), options.directory, options.spill))
        except OSError as error:
            log.warning("no memory is shared: %s cannot be made: %s", options.shared, error)
            options = msgspec.structs.replace(options, shared="")
    return options, in_use


@contextmanager
def _lock(options: ControllerConfig) -> Iterator[None]:
    """Hold the lock on a cluster's name. The kernel lets it go whatever happens to this process."""
    path = Path(options.connection_file).with_suffix(".lock")
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LauncherError(f"{path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ClusterExists(
                f"a cluster named {options.name!r} runs already; connect to it with "
                f"Cluster.connect({options.name!r}) or choose another name"
            ) from None
        if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
            break
        os.close(descriptor)  # the last holder removed it between our open and our lock
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, options.directory.encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _say(ready: BinaryIO, word: dict[str, object]) -> None:
    try:
        ready.write(msgspec.json.encode(word) + b"\n")
        ready.flush()
        ready.close()
    except (OSError, ValueError):
        log.info("nobody waits for the ready line any more")
