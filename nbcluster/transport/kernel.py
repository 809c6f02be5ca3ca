"""The controller's end of one engine: the five channels of a Jupyter kernel. Knows the protocol, no tasks.

Replies come back by the id of their request; iopub and stdin messages go to callbacks. Heartbeats are not used:
a local engine's end is seen by its parent, a lost network by ZMTP heartbeats of the sockets themselves.
"""

from __future__ import annotations

import asyncio
import os
import socket as stdlib_socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import zmq
from msgspec import UNSET, Raw, Struct, UnsetType, json

from nbcluster.errors import AuthenticationError, LauncherError
from nbcluster.protocol import topics
from nbcluster.transport.frames import Buffer, Frames, Message
from nbcluster.transport.loopsocket import LoopSocket, log

Channel = Literal["shell", "control"]

RECONNECT_MS = 5
"""A starting kernel binds within a fraction of a second; libzmq's 100 ms would be felt."""

REMEMBERED_OF_A_KERNEL = 4096
"""Signatures remembered for each engine: there may be many, each on a private socket of its own."""

IOPUB_PATIENCE = 0.25
"""Seconds before the question is asked again, when the reply came and iopub stayed silent."""


class ConnectionInfo(Struct, frozen=True):
    """A Jupyter connection file. For ipc, `ip` is a path prefix and the ports are suffixes."""

    transport: Literal["ipc", "tcp"]
    ip: str
    key: str
    shell_port: int
    iopub_port: int
    stdin_port: int
    control_port: int
    hb_port: int
    signature_scheme: str = "hmac-sha256"
    kernel_name: str = ""
    curve_publickey: str | None = None
    curve_secretkey: str | None = None

    def url(self, channel: str) -> str:
        """Where a channel listens."""
        port: int = getattr(self, f"{channel}_port")
        joint = "-" if self.transport == "ipc" else ":"
        return f"{self.transport}://{self.ip}{joint}{port}"

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner alone."""
        fields = {name: value for name, value in json.decode(json.encode(self)).items() if value is not None}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.format(json.encode(fields), indent=2))


def new_connection(
    transport: Literal["ipc", "tcp"],
    prefix: str,
    key: str,
    kernel_name: str,
    *,
    encrypt: bool,
    address: str = "127.0.0.1",
    ports: Sequence[int] = (),
) -> ConnectionInfo:
    """Choose where a kernel listens: beside `prefix` for ipc; for tcp at an address, at ports that are free there."""
    if transport == "ipc":
        return ConnectionInfo("ipc", prefix, key, 1, 2, 3, 4, 5, kernel_name=kernel_name)
    shell, iopub, stdin, control, heartbeat = ports or _free_ports(address)
    public, secret = zmq.curve_keypair() if encrypt else (None, None)
    return ConnectionInfo(
        "tcp",
        address,
        key,
        shell,
        iopub,
        stdin,
        control,
        heartbeat,
        kernel_name=kernel_name,
        curve_publickey=public.decode() if public else None,
        curve_secretkey=secret.decode() if secret else None,
    )


def _free_ports(address: str) -> list[int]:
    holders = [stdlib_socket.socket() for _ in range(5)]
    try:
        for holder in holders:
            holder.bind((address, 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


class EngineLink:
    """Channels to one incarnation of one engine, on the running loop.

    Parameters
    ----------
    context : zmq.Context
    info : ConnectionInfo
    on_reply : callable
        Called with (channel, message) for each reply that no `ask` waits for.
    on_iopub, on_stdin : callable
        Called with each message of these channels.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        info: ConnectionInfo,
        on_reply: Callable[[Channel, Message], None],
        on_iopub: Callable[[Message], None],
        on_stdin: Callable[[Message], None],
    ) -> None:
        self.info = info
        self._frames = Frames(info.key.encode(), remember=REMEMBERED_OF_A_KERNEL)
        self._on_reply = on_reply
        self._on_iopub = on_iopub
        self._on_stdin = on_stdin
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._iopub_seen = asyncio.Event()
        identity = os.urandom(8).hex().encode()
        iopub = self._open(context, zmq.SUB, "iopub", identity)
        iopub.setsockopt(zmq.RCVHWM, 0)
        iopub.subscribe(b"")
        self._sockets = {
            "iopub": LoopSocket(iopub, self._iopub),
            "shell": LoopSocket(self._open(context, zmq.DEALER, "shell", identity), self._shell),
            "control": LoopSocket(self._open(context, zmq.DEALER, "control", identity), self._control),
            "stdin": LoopSocket(self._open(context, zmq.DEALER, "stdin", identity), self._stdin),
        }

    async def wait_ready(self, timeout: float) -> dict[str, Any]:
        """Wait until the kernel answers and iopub is subscribed; return the content of its kernel_info_reply.

        Raises
        ------
        LauncherError
            When it does not answer in time.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    reply = await self.ask("shell", "kernel_info_request", {})
                    try:
                        async with asyncio.timeout(IOPUB_PATIENCE):
                            await self._iopub_seen.wait()
                    except TimeoutError:
                        continue
                    content: dict[str, Any] = json.decode(reply.content)
                    if topics.FEATURE in content.get("supported_features", ()):
                        self._hear_less()
                    return content
        except TimeoutError:
            raise LauncherError(f"the kernel did not answer within {timeout:g} s") from None

    def _hear_less(self) -> None:
        """Subscribe to what the kernel marks for us alone; in this order nothing is missed."""
        self._sockets["iopub"].socket.subscribe(topics.TOPIC)
        self._sockets["iopub"].socket.unsubscribe(b"")

    def request(
        self,
        channel: Channel,
        msg_type: str,
        content: dict[str, Any] | Raw,
        *,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[Buffer] = (),
        subshell_id: str | UnsetType = UNSET,
    ) -> str:
        """Send a request; its reply goes to `on_reply`. Return its message id."""
        msg_id, frames = self._frames.pack(
            msg_type,
            json.encode(content),
            metadata=json.encode(metadata) if metadata else b"{}",
            buffers=buffers,
            subshell_id=subshell_id,
        )
        self._sockets[channel].send(frames)
        return msg_id

    async def ask(
        self,
        channel: Channel,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
    ) -> Message:
        """Send a request and wait for its reply; bound the wait from outside."""
        msg_id, frames = self._frames.pack(
            msg_type, json.encode(content), metadata=json.encode(metadata) if metadata else b"{}"
        )
        future = asyncio.get_running_loop().create_future()
        self._asked[msg_id] = future
        self._sockets[channel].send(frames)
        try:
            message: Message = await future
            return message
        finally:
            del self._asked[msg_id]

    def reply_input(self, request: Message, value: str) -> None:
        """Answer an input_request."""
        parent = json.encode({"msg_id": request.header.msg_id, "session": request.header.session})
        _, frames = self._frames.pack(
            "input_reply", json.encode({"status": "ok", "value": value}), parent=parent
        )
        self._sockets["stdin"].send(frames)

    def close(self) -> None:
        """Close the channels."""
        for socket in self._sockets.values():
            socket.close()

    def _open(
        self, context: zmq.Context[zmq.Socket[bytes]], kind: int, channel: str, identity: bytes
    ) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = context.socket(kind)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        socket.setsockopt(zmq.LINGER, 0)
        if kind == zmq.DEALER:
            # The kernel sends input_request to the identity that its shell request came from.
            socket.setsockopt(zmq.IDENTITY, identity)
        if self.info.curve_publickey is not None:
            socket.curve_serverkey = self.info.curve_publickey.encode()
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        if self.info.transport == "tcp":
            socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
        socket.connect(self.info.url(channel))
        return socket

    def _open_message(self, frames: list[bytes]) -> Message | None:
        try:
            return self._frames.unpack(frames)
        except AuthenticationError as error:
            if frames and not frames[0].startswith(b"\x01"):  # a subscription echo is no message
                log.warning("from a kernel: %s", error)
            return None

    def _replied(self, channel: Channel, frames: list[bytes]) -> None:
        message = self._open_message(frames)
        if message is None:
            return
        waiting = self._asked.get(message.parent_id)
        if waiting is None:
            self._on_reply(channel, message)
        elif not waiting.done():
            waiting.set_result(message)

    def _shell(self, frames: list[bytes]) -> None:
        self._replied("shell", frames)

    def _control(self, frames: list[bytes]) -> None:
        self._replied("control", frames)

    def _iopub(self, frames: list[bytes]) -> None:
        self._iopub_seen.set()
        if _is_passed_over(frames):
            return
        message = self._open_message(frames)
        if message is not None:
            self._on_iopub(message)

    def _stdin(self, frames: list[bytes]) -> None:
        message = self._open_message(frames)
        if message is not None and message.header.msg_type == "input_request":
            self._on_stdin(message)


def _is_passed_over(frames: list[bytes]) -> bool:
    """Whether an iopub message says nothing that is acted on: the echo of the code, and "busy".

    Half of all messages of a short cell; they are not worth checking a signature. Source of the positions:
    topic, delimiter, signature, header, parent header, metadata, content.
    """
    if frames[0].endswith(b".execute_input"):
        return True
    return len(frames) > 6 and frames[0].endswith(b".status") and b'"busy"' in frames[6]
