"""The routes of the Jupyter Server extension: authenticated, XSRF-checked, JSON in and out. Knows no clusters.

`POST <base_url>/nbcluster/clusters/<name>/stop` with `{"work": "<name of a wait>"}` stops what a cell waits for, and
with `{}` cancels all tasks of the cluster. Answers 202 when the cluster was told.
"""

from __future__ import annotations

from typing import Annotated, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from msgspec import DecodeError, Meta, Struct, ValidationError, json
from tornado.web import Application, authenticated

from nbcluster.errors import ControllerLost, NBClusterError, UnknownCluster, UsageError
from nbcluster.server.stops import stop_work
from nbcluster.server.viewroutes import ROUTES
from nbcluster.transport.rendezvous import check_name


class StopOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to stop."""

    work: Annotated[str, Meta(max_length=64, pattern="^[0-9a-f]*$")] = ""


class StopHandler(APIHandler):  # type: ignore[misc]  # Jupyter Server is not typed for us
    """Stops what a cluster runs for a notebook."""

    auth_resource = "nbcluster"

    @authenticated  # type: ignore[untyped-decorator]  # tornado is not typed for us
    @authorized  # type: ignore[untyped-decorator]  # nor is Jupyter Server
    async def post(self, name: str) -> None:
        """Stop one wait, or all work."""
        try:
            check_name(name)
            order = json.decode(self.request.body or b"{}", type=StopOrder)
        except (UsageError, DecodeError, ValidationError) as error:
            self._refuse(400, error)
            return
        try:
            await stop_work(name, order.work)
        except UnknownCluster as error:
            self._refuse(404, error)
        except UsageError as error:
            self._refuse(409, error)
        except (ControllerLost, TimeoutError) as error:
            self._refuse(504, error)
        except NBClusterError as error:
            self._refuse(500, error)
        else:
            self.set_status(202)
            self.finish(json.encode({"message": f"the cluster {name!r} was told to stop"}))

    def _refuse(self, status: int, error: Exception) -> None:
        self.set_status(status)
        told = str(error) or "the cluster did not answer in time"
        self.finish(json.encode({"error": type(error).__name__, "message": told}))


def add_routes(app: Application) -> None:
    """Add the routes below the server's base URL."""
    base: Any = app.settings["base_url"]
    routes = ((("clusters", "([^/]+)", "stop"), StopHandler), *ROUTES)
    app.add_handlers(".*$", [(url_path_join(base, "nbcluster", *path), handler) for path, handler in routes])
