"""The routes by which a page that was loaded again shows what its kernel is too busy to show. JSON and static files.

Below `<base_url>/nbcluster`: `GET kernels/<id>/views` lists the views of a kernel, `GET
clusters/<name>/views/<view>?have=<serial>` tells what one shows and what changed after that serial number,
`GET clusters/<name>/views/<view>/plots?have=<plot>:<shape>&dark=1` gives Bokeh plots of it, or, of those that it has,
columns, and `GET files/<file>` gives what draws all that. Nothing is changed by any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from msgspec import json
from tornado.web import HTTPError, authenticated

from nbcluster.client.viewfiles import BoardSeen, directory_of, is_view, read_board, read_view, views_of
from nbcluster.drawing.style import CSS
from nbcluster.errors import UnknownCluster, UsageError
from nbcluster.transport.rendezvous import connection_path, read_connection_file

FILES = {
    "lab.js": ("text/javascript", ("server", "lab.js")),
    "live.js": ("text/javascript", ("notebook", "live.js")),
    "plots.js": ("text/javascript", ("server", "plots.js")),
}

STYLE, BOKEH = "live.css", "bokeh.min.js"
"""Files that are made, or are another package's."""


class ViewsHandler(APIHandler):  # type: ignore[misc]  # Jupyter Server is not typed for us
    """Lists the views of a kernel."""

    auth_resource = "nbcluster"

    @authenticated  # type: ignore[untyped-decorator]  # tornado is not typed for us
    @authorized  # type: ignore[untyped-decorator]  # nor is Jupyter Server
    def get(self, kernel: str) -> None:
        """Whose they are, by cluster; what they show is asked for one by one."""
        told = [
            {
                "cluster": cluster,
                "view": seen.view,
                "cell": seen.cell,
                "model": seen.model,
                "count": seen.count,
                "state": seen.state,
            }
            for cluster, seen in views_of(kernel)
        ]
        self.finish(json.encode({"views": told}))


class _OfView(APIHandler):  # type: ignore[misc]  # Jupyter Server is not typed for us
    """What handlers of one view have in common."""

    auth_resource = "nbcluster"

    def find(self, name: str, view: str) -> Path | None:
        """The directory of the views of a cluster; None when the request was refused."""
        try:
            if not is_view(view):
                raise UsageError(f"{view!r} cannot be the name of a view")
            cluster = read_connection_file(connection_path(name))
        except UsageError as error:
            self.refuse(400, error)
            return None
        except UnknownCluster:
            self.refuse(404, UnknownCluster(f"the cluster {name!r} has ended; this is what it was at"))
            return None
        directory = directory_of(cluster)
        if directory is None:
            self.refuse(404, UsageError(f"the cluster {name!r} runs on another host than this server"))
        return directory

    def refuse(self, status: int, error: Exception) -> None:
        """Say why not."""
        self.set_status(status)
        self.finish(json.encode({"error": type(error).__name__, "message": str(error)}))

    def refuse_unknown(self, name: str) -> None:
        """There is no such view."""
        self.refuse(404, UsageError(f"the cluster {name!r} shows no such view (any more)"))


class ViewHandler(_OfView):
    """Tells what one view shows."""

    @authenticated  # type: ignore[untyped-decorator]  # tornado is not typed for us
    @authorized  # type: ignore[untyped-decorator]  # nor is Jupyter Server
    def get(self, name: str, view: str) -> None:
        """What changed since the serial number that the page has."""
        try:
            have = int(self.get_query_argument("have", "0"))
        except ValueError as error:
            self.refuse(400, error)
            return
        directory = self.find(name, view)
        if directory is None:
            return
        seen = read_view(directory, view)
        if seen is None:
            self.refuse_unknown(name)
            return
        self.finish(json.encode(seen.since(have)))


class PlotsHandler(_OfView):
    """Gives the plots of one view. Bokeh is imported when the first ones are asked for."""

    @authenticated  # type: ignore[untyped-decorator]  # tornado is not typed for us
    @authorized  # type: ignore[untyped-decorator]  # nor is Jupyter Server
    async def get(self, name: str, view: str) -> None:
        """The plots; of those that the page has, what their sources hold now."""
        had = dict(have.partition(":")[::2] for have in self.get_query_arguments("have"))
        directory = self.find(name, view)
        if directory is None:
            return
        seen = read_board(directory, view)
        if seen is None and read_view(directory, view) is None:
            self.refuse_unknown(name)
            return
        is_dark = bool(self.get_query_argument("dark", ""))
        try:
            told = await asyncio.to_thread(_plots, seen, had, is_dark)
        except ImportError as error:
            self.refuse(501, error)
            return
        self.finish(json.encode(told))


def _plots(seen: BoardSeen | None, had: Mapping[str, str], is_dark: bool) -> dict[str, Any]:
    import bokeh

    from nbcluster.plots import columns, figures

    told: dict[str, Any] = {"version": bokeh.__version__, "plots": {}}
    if seen is None:
        return told
    board, graph = seen.board, seen.graph
    found, shapes, labels = (
        columns.of_board(board, graph),
        columns.shapes(board),
        columns.labels(board, graph),
    )
    is_new = any(had.get(plot) != shapes[plot] for plot in found)
    made = figures.documents(board, graph, is_dark=is_dark) if is_new else {}
    for plot, values in found.items():
        about = {"shape": shapes[plot], "label": labels[plot]}
        has_it = had.get(plot) == shapes[plot]
        told["plots"][plot] = {**about, **({"columns": values} if has_it else {"item": made[plot]})}
    return told


class FileHandler(JupyterHandler):  # type: ignore[misc]  # Jupyter Server is not typed for us
    """Gives what draws views in a page: of the version that is installed now."""

    auth_resource = "nbcluster"

    @authenticated  # type: ignore[untyped-decorator]  # tornado is not typed for us
    @authorized  # type: ignore[untyped-decorator]  # nor is Jupyter Server
    async def get(self, file: str) -> None:
        """One of a few files."""
        if file == STYLE:
            kind, text = "text/css", CSS
        elif file == BOKEH:
            kind, text = "text/javascript", await asyncio.to_thread(_bokeh)
        elif file in FILES:
            kind, place = FILES[file]
            text = files("nbcluster").joinpath(*place).read_text()
        else:
            raise HTTPError(404)
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(text)


def _bokeh() -> str:
    try:
        from bokeh.settings import settings
    except ImportError:
        raise HTTPError(404, "Bokeh is not installed beside this server") from None
    return (Path(settings.bokehjs_path()) / "js" / BOKEH).read_text()


ROUTES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("kernels", "([^/]+)", "views"), ViewsHandler),
    (("clusters", "([^/]+)", "views", "([^/]+)"), ViewHandler),
    (("clusters", "([^/]+)", "views", "([^/]+)", "plots"), PlotsHandler),
    (("files", "([^/]+)"), FileHandler),
)
"""Below `nbcluster`."""
