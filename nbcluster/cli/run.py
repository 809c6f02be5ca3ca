"""The verb `run`: a kernel and a cluster for one notebook, from its start to the end of both. Knows no messages."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from nbcluster.cli.ending import end_cluster
from nbcluster.cli.headless import Headless, code_cells
from nbcluster.cli.leftovers import OWNER_FILE
from nbcluster.cli.screen import Screen
from nbcluster.cli.words import engines_words, leave_out_own_directory
from nbcluster.client.aio import AsyncCluster
from nbcluster.errors import LauncherError, NBClusterError, UsageError
from nbcluster.transport.rendezvous import connection_path, new_directory

OWN_IDLE = 60.0
"""Seconds that a cluster started for a run stays if run and kernel are killed."""

KERNEL_TIME = 60.0
"""Seconds that the notebook's kernel may take until it answers."""

INTERRUPTED = 130


class ThisInterpreter(KernelSpecManager):  # type: ignore[misc]  # jupyter_client's base classes are not typed
    """Kernelspecs as installed, but "python3" is this interpreter, whatever is installed under that name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the kernelspec of a name."""
        if kernel_name != "python3":
            return super().get_kernel_spec(kernel_name)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def run(arguments: argparse.Namespace) -> int:
    """Execute a notebook."""
    path = Path(arguments.notebook)
    nb = read_notebook(path)
    kernel_name = choose_kernel(nb)
    output = Path(arguments.output) if arguments.output else None
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no directory {output.parent}")
    if arguments.name:
        connection_path(arguments.name)  # a bad name is refused before anything is started
    leave_out_own_directory()
    try:
        return asyncio.run(_run(arguments, path, nb, kernel_name))
    finally:
        if output is not None:
            nbformat.write(nb, output)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook.

    Raises
    ------
    UsageError
        When it cannot be read or is no notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:
        # nbformat raises what its JSON reader and its schema raise, without a common class.
        raise UsageError(
            f"{path} is no notebook: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error


def choose_kernel(nb: nbformat.NotebookNode) -> str:
    """The kernel of a notebook: the one that it names if that is installed, else this interpreter's.

    Raises
    ------
    LauncherError
        When it names one of another language that is not installed.
    """
    spec = nb.metadata.get("kernelspec", {})
    name = str(spec.get("name", "") or "python3")
    try:
        ThisInterpreter().get_kernel_spec(name)
    except NoSuchKernel:
        language = str(spec.get("language") or nb.metadata.get("language_info", {}).get("name") or "python")
        if language.lower() != "python":
            raise LauncherError(
                f"the notebook needs the kernel {name!r} ({language}), which is not installed; "
                "`jupyter kernelspec list` shows those that are"
            ) from None
        return "python3"
    return name


def own_name(path: Path) -> str:
    """A name for the cluster of one run of a notebook."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:30]
    return f"{stem or 'run'}-{os.getpid()}-{uuid.uuid4().hex[:4]}"


async def _run(arguments: argparse.Namespace, path: Path, nb: nbformat.NotebookNode, kernel_name: str) -> int:
    name = arguments.name or own_name(path)
    total = len(code_cells(nb))
    screen = Screen(sys.stdout, sys.stderr, total)
    file = connection_path(name)
    is_ours = not file.exists()
    try:
        cluster = await _cluster(arguments.n, name, path, screen) if arguments.n is not None else None
        try:
            async with _kernel(kernel_name, name, path) as (kernel, client):
                headless = Headless(
                    nb, kernel, client, screen, limit=arguments.timeout, allow_errors=arguments.allow_errors
                )
                failures = await _until_signal(headless, kernel)
        finally:
            if cluster is not None:
                await cluster.close()
    finally:
        if is_ours and file.exists():
            await end_cluster(file, force=True)
    if headless.interrupted:
        screen.note("nbcluster run: interrupted")
        return INTERRUPTED
    for failure in failures:
        screen.note(f"nbcluster run: {failure.words(total)}")
    return 1 if failures and not arguments.allow_errors else 0


async def _cluster(n: int, name: str, path: Path, screen: Screen) -> AsyncCluster:
    cluster = AsyncCluster(n, name=name, cwd=str(path.resolve().parent), idle_timeout=OWN_IDLE)
    await cluster.start()
    screen.note(f"cluster {name!r} is ready with {engines_words(cluster.engines)}")
    return cluster


@asynccontextmanager
async def _kernel(kernel_name: str, session: str, path: Path) -> AsyncIterator[tuple[Any, Any]]:
    """A kernel over ipc, in the notebook's directory, that answers; ended and removed afterwards."""
    directory = new_directory()
    (directory / OWNER_FILE).write_text(str(os.getpid()))
    kernel = AsyncKernelManager(
        kernel_name=kernel_name,
        kernel_spec_manager=ThisInterpreter(),
        transport="ipc",
        connection_file=str(directory / "k.json"),
    )
    # The session's name is what `%cluster start` names the notebook's cluster after.
    environment = {
        **os.environ,
        "JPY_SESSION_NAME": f"{session}.ipynb",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a hint about debugging, printed by each Python kernel
    }
    client = None
    try:
        await kernel.start_kernel(cwd=str(path.resolve().parent), env=environment)
        client = kernel.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=KERNEL_TIME)
        except RuntimeError as error:
            raise LauncherError(f"the notebook's kernel {kernel_name!r} did not start: {error}") from error
        yield kernel, client
    finally:
        if client is not None:
            client.stop_channels()
        if kernel.has_kernel:
            await kernel.shutdown_kernel(now=not await kernel.is_alive())
        shutil.rmtree(directory, ignore_errors=True)


async def _until_signal(headless: Headless, kernel: Any) -> list[Any]:
    """Run the cells. The first Ctrl-C interrupts the cell and ends the run, a second one or SIGTERM gives it up."""
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(headless.run())
    interrupts: list[asyncio.Task[None]] = []

    def on_interrupt() -> None:
        if headless.interrupted:
            running.cancel()
            return
        headless.interrupted = True
        interrupts.append(loop.create_task(kernel.interrupt_kernel()))

    def on_terminate() -> None:
        headless.interrupted = True
        running.cancel()

    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, on_terminate)
    try:
        return await running
    except asyncio.CancelledError:
        if not running.cancelled():
            raise
        return []
    except BaseExceptionGroup as group:
        # The reader and the cells are one task group; what ended it is the first of them.
        known = group.subgroup((NBClusterError, TimeoutError))
        raise (known or group).exceptions[0] from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
