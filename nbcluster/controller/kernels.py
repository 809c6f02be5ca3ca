"""Which kernel an engine runs and how it is started. Knows kernelspecs; starts nothing."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from nbcluster.engine.arguments import kernel_argv
from nbcluster.errors import UsageError
from nbcluster.protocol.messages import KernelSpecRef

PYTHONS = ("python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}")
"""First words of a kernelspec's argv that stand for the running interpreter."""


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """A kernel that can be started."""

    name: str
    argv: Callable[[Path], tuple[str, ...]]
    is_ours: bool
    fork: bool
    interrupt_by_message: bool
    encrypts: bool
    """Whether it declares CurveZMQ (kernelspec metadata `supported_encryption`); ours does."""
    env: dict[str, str] = field(default_factory=dict)


def choose_kernel(spec: KernelSpecRef) -> KernelChoice:
    """Find the kernel of a spec.

    Raises
    ------
    UsageError
        When there is no kernelspec of that name; the message names those that there are.
    """
    if not spec.kernel:
        # Where the supervisor does not fork, it executes the same as a program.
        return KernelChoice("python", lambda file: kernel_argv(str(file)), True, True, True, True)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # slow, and needed only here

    manager = KernelSpecManager()
    try:
        found = manager.get_kernel_spec(spec.kernel)
    except NoSuchKernel:
        known = sorted(manager.find_kernel_specs())
        near = difflib.get_close_matches(spec.kernel, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"there is no kernel {spec.kernel!r} on this machine{hint}; installed: {', '.join(known) or 'none'}; "
            "`jupyter kernelspec list` shows where they are."
        ) from None
    command = list(found.argv)
    if command and command[0] in PYTHONS:
        command[0] = sys.executable  # as jupyter_client does: the "python" of a spec is the one that found it

    def argv(file: Path) -> tuple[str, ...]:
        # The same replacement as jupyter_client's: only braces around these names.
        names = {"connection_file": str(file), "prefix": sys.prefix, "resource_dir": found.resource_dir}
        return tuple(_fill(word, names) for word in command)

    env = {name: Template(value).safe_substitute(os.environ) for name, value in found.env.items()}
    declared = found.metadata.get("supported_encryption") or ()
    encryption = (declared,) if isinstance(declared, str) else tuple(declared)
    return KernelChoice(
        spec.kernel, argv, False, False, found.interrupt_mode == "message", "curve" in encryption, env
    )


def _fill(word: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        word = word.replace("{" + name + "}", value)
    return word
