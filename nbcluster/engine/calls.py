"""Makes a kernel take calls: ties the agent, the runner, the namespaces and what users see of them together."""

from __future__ import annotations

import atexit
import builtins
import getpass
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import cloudpickle

from nbcluster.engine import context, lending
from nbcluster.engine import sharing as shared_memory
from nbcluster.engine.agent import Agent
from nbcluster.engine.answers import Answers
from nbcluster.engine.keeper import Keeper
from nbcluster.engine.link import TaskLink
from nbcluster.engine.outstream import PromptStream
from nbcluster.engine.peers import open_door
from nbcluster.engine.runner import Runner
from nbcluster.engine.sharing import Sharing
from nbcluster.engine.shipping import Shipping
from nbcluster.engine.store import Store
from nbcluster.engine.waiting import CallQueue
from nbcluster.engine.work import CallWork, Functions
from nbcluster.payload.functions import FunctionLoader
from nbcluster.payload.modules import MODULES
from nbcluster.payload.values import dump_value, load_value
from nbcluster.protocol.tasks import CONNECTION, INCARNATION, NUMBER, TASKS_URL
from nbcluster.transport.rendezvous import read_connection_file


def start(kernel: Any) -> Agent | None:
    """Open the task channel if the environment names one; return the agent.

    The variables are taken out of the environment, so that processes which the engine starts are no engines.
    """
    url = os.environ.pop(TASKS_URL, None)
    incarnation = int(os.environ.pop(INCARNATION, "0"))
    if url is None or threading.current_thread() is not threading.main_thread():
        return None
    number = os.environ.get(NUMBER, "")
    loader = FunctionLoader(where=f"engine {number}" if number else "this engine")
    shell, namespaces = kernel.shell, kernel.namespaces
    complain = kernel.log.error
    link = TaskLink(url, new_identity(incarnation), kernel.session.key, complain)
    store = Store()
    sharing = Sharing.from_environment(incarnation, complain)
    shared_memory.install(sharing)
    keeper = Keeper.from_environment(incarnation, store, sharing, complain)
    shipping = Shipping.from_environment(store, sharing, complain)
    keeper.on_want = shipping.relieve
    queue = CallQueue(shell.interrupts.begin_call, store.get, sharing.hold)
    functions = Functions(loader)
    answers = Answers(
        namespaces,
        dump=_dump_whole,
        load=lambda payload, names: load_value(payload, (), names, loader, "the value"),
    )
    agent = Agent(
        incarnation,
        link,
        queue,
        store,
        sharing,
        shipping,
        keeper,
        shell.interrupts,
        functions.learn,
        answers.take,
        complain,
    )
    work = CallWork(
        functions, namespaces, store, sharing, keeper, queue, lambda error: _note_for_debugger(shell, error)
    )
    # Bound once: the handler is compared by identity.
    on_sigint = shell.on_sigint
    runner = agent.runner = Runner(
        queue,
        kernel.gate,
        shell.interrupts,
        work,
        kernel.io_loop.asyncio_loop,
        agent.take_result,
        agent.send_results,
        agent.hurry,
        on_sigint,
        agent.lend,
        kernel.raw_output.take,
    )
    shell.hit_call = runner.take_hit
    lending.lender = runner.nested

    def cell_has_ended() -> None:
        MODULES.look()
        namespaces.forget_what_changed()
        runner.go_on()

    kernel.gate.on_open = cell_has_ended
    # ipykernel ignores SIGINT outside of cells. Our handler does too, and calls need no other for each.
    signal.signal(signal.SIGINT, on_sigint)
    builtins.input = _refusing(builtins.input)
    getpass.getpass = _refusing(getpass.getpass)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, PromptStream):
            stream.raw_belongs_to = lambda: runner.running
    open_door(url, incarnation, _key_of(os.environ.get(CONNECTION, "")), kernel.gate, namespaces, complain)
    agent.start()
    atexit.register(agent.close)
    return agent


def _key_of(connection_file: str) -> Callable[[], bytes]:
    return lambda: read_connection_file(Path(connection_file)).key.encode()


def new_identity(incarnation: int) -> bytes:
    """Return an identity on the task channel that names an incarnation, and that nobody else can guess."""
    return b"e%d-%s" % (incarnation, os.urandom(12).hex().encode())


def _dump_whole(value: Any) -> bytes:
    """Pickle a value with all its buffers inside."""
    dumped = dump_value(value, what="the value")
    whole: bytes = cloudpickle.dumps(value, protocol=5) if dumped.buffers else dumped.payload
    return whole


def _note_for_debugger(shell: Any, error: BaseException) -> None:
    """Make an error the one that %debug opens."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    shell.InteractiveTB.tb = error.__traceback__


def _refusing(ask: Callable[..., str]) -> Callable[..., str]:
    """Return a function that asks as `ask` does, but not in a call, where nobody answers."""

    @wraps(ask)
    def ask_outside_of_calls(*args: Any, **kwargs: Any) -> str:
        context.refuse_input()
        return ask(*args, **kwargs)

    return ask_outside_of_calls
