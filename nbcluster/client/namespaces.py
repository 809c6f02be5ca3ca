"""The names on engines as an object: read, written, described, compared. Knows no transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import structs

from nbcluster.client.oneach import OnEach, finish_names
from nbcluster.client.records import DifferenceTable, Name, NameTable, difference_table, name_table
from nbcluster.protocol.tasks import NameInfo

if TYPE_CHECKING:
    from nbcluster.client.calling import CallingCluster


class AsyncNamespace:
    """A namespace on some engines: the kernels' own, or a named one.

    Reading and writing wait behind what engines run unless `live`; describing never does. An int or `any` target
    gives bare results, every other one dicts by engine number.
    """

    def __init__(self, cluster: CallingCluster, name: str, targets: str) -> None:
        self._cluster = cluster
        self.name = name
        self.targets = targets

    @property
    def on_each(self) -> OnEach:
        """What is done on each of the engines, for the layers above."""
        return self._cluster.on_each(self.targets, self.name)

    async def push(self, values: Mapping[str, Any], live: bool = False) -> None:
        """Bind values to names; `live` at once, beside what runs."""
        if live:
            await self.on_each.write(values)
        else:
            await finish_names(self.on_each.push(values), list(values))

    async def pull(self, names: str | list[str], live: bool = False) -> Any:
        """Bring values here; several names give a list. `live` at once, beside what runs."""
        each = self.on_each
        if live:
            return each.shaped_read(names, await each.read([names] if isinstance(names, str) else names))
        return each.shaped_pull(names, await finish_names(each.pull(names), names))

    async def unbind(self, name: str, live: bool = False) -> None:
        """Delete a name; `live` at once, beside what runs."""
        if live:
            await self.on_each.write({}, [name])
        else:
            await finish_names(self.on_each.delete([name]), name)

    async def clear(self) -> None:
        """Delete all names that users made, when what runs has ended."""
        await finish_names(self.on_each.clear(), "")

    async def keys(self) -> Any:
        """The names that users made, at once."""
        each = self.on_each
        described = await each.describe()
        return each.bare({number: [info.name for info in infos] for number, infos in described.items()})

    async def describe(self) -> NameTable:
        """Name, engine, type, shape and size of everything that users made, at once, also while engines compute.

        Returns
        -------
        NameTable
            A list of what there is now; a notebook shows it by engine, and goes on asking while it is seen.
        """
        described = await self.on_each.describe()
        table = name_table(rows(described), sorted(described), f"Names of {self._title}")
        table.again = lambda: self.describe()
        return table

    async def diff(self) -> DifferenceTable:
        """The names that are not alike on all engines, at once: missing on some, or of another type, shape or size.

        Returns
        -------
        DifferenceTable
            A list of what differs now; a notebook shows engines side by side, and goes on asking while it is seen.
        """
        described = await self.on_each.describe()
        table = difference_table(rows(described), sorted(described), f"What differs in {self._title}")
        table.again = lambda: self.diff()
        return table

    @property
    def _title(self) -> str:
        return f"namespace “{self.name}”" if self.name else "the kernels’ own namespace"

    def __repr__(self) -> str:
        which = f"namespace {self.name!r}" if self.name else "kernels' own namespace"
        where = self.targets or "all Python engines"
        return f"<{type(self).__name__}: the {which} on {where} in {self._cluster.name!r}>"


def rows(described: Mapping[int, tuple[NameInfo, ...]]) -> list[Name]:
    """What engines said of their names, as rows, by name."""
    found = [
        Name(**structs.asdict(info), engine=number) for number, infos in described.items() for info in infos
    ]
    return sorted(found, key=lambda row: (row.name, row.engine))
