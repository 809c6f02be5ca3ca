"""Which GPUs an engine may use: its own, as long as it is there. Opens none."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from nbcluster.errors import UsageError
from nbcluster.protocol.status import KernelSpecRef

VISIBLE = "CUDA_VISIBLE_DEVICES"


def hand_out(n: int, spec: KernelSpecRef, present: Iterable[KernelSpecRef]) -> list[KernelSpecRef]:
    """Return what each of n engines is started with: the first GPUs that no other engine has are its own.

    Parameters
    ----------
    n : int
    spec : KernelSpecRef
        What they have in common, with all GPUs that there are.
    present : iterable of KernelSpecRef
        Of the engines that are there.

    Raises
    ------
    UsageError
        When too few are free.

    Examples
    --------
    >>> two = hand_out(2, KernelSpecRef(gpus=("0", "1", "2"), gpus_per_engine=1), [])
    >>> [each.gpus for each in two], two[1].env
    ([('0',), ('1',)], {'CUDA_VISIBLE_DEVICES': '1'})
    """
    each = spec.gpus_per_engine
    if not each:
        return [spec] * n
    taken = {gpu for engine in present for gpu in engine.gpus}
    free = [gpu for gpu in spec.gpus if gpu not in taken]
    if len(free) < n * each:
        raise UsageError(
            f"{n} more engines with gpus_per_engine={each} need {n * each} GPUs, and {len(free)} of {len(spec.gpus)} "
            "are free; ask for fewer, or remove engines that have one"
        )
    parts = (tuple(free[at : at + each]) for at in range(0, n * each, each))
    return [replace(spec, gpus=part, env={**spec.env, VISIBLE: ",".join(part)}) for part in parts]
