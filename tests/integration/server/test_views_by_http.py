"""The routes by which a page that was loaded again sees views: who may, what they tell, and that names are no paths."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from nbcluster.client.viewfiles import ViewFile, ViewSeen
from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown, NodeShown
from nbcluster.protocol.feed import EngineLoad, Lane, Scope, Strip, WorkTold
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import ConnectionFile, boot_id, connection_path, write_connection_file

VIEW = "0123456789abcdef" * 2
HOSTILE = "<script>alert(1)</script>"


def pretend_cluster(top: Path, host: str) -> Path:
    """The connection file of a cluster whose controller is this process; return where its views are."""
    directory = top / f"at-{host}"
    directory.mkdir(mode=0o700)
    me = os.getpid()
    file = ConnectionFile(host[:4], "unix:x", "k", me, me, host, boot_id(), str(directory), "0", 1)
    write_connection_file(connection_path(file.name), file)
    return directory / "views"


def board(strips: int) -> Board:
    lane = Lane(0, 0, tuple(Strip(at + 1.0, at + 1.5, HOSTILE, busy=0.5) for at in range(strips)))
    engine = EngineLoad(0, "busy", busy=(1,), cpu=(2,), memory=(3,))
    return Board().apply(WorkTold(1, 9.0, True, (lane, engine, Scope(0.0, drawn=strips))))


def test_who_is_logged_in_sees_the_views_of_a_kernel_and_nobody_else(server, world):
    place = pretend_cluster(world.top, socket.gethostname())
    pretend_cluster(world.top, "far.example")
    name = socket.gethostname()[:4]
    file = ViewFile(place, ViewSeen(VIEW, "kernel-1", "cell-1", "model-1", 7, os.getpid()))
    mine = {"Authorization": f"token {server.token}"}
    one = f"nbcluster/clusters/{name}/views/{VIEW}"

    def get(path: str, headers: dict[str, str] = mine) -> tuple[int, dict[str, object]]:
        answer, told = server.ask("GET", path, b"", headers)
        return answer.status, json.loads(told) if told.startswith(b"{") else {}

    # Who may.
    for path in (one, f"{one}/plots", "nbcluster/kernels/kernel-1/views", "nbcluster/files/live.js"):
        assert get(path, {})[0] in (302, 403), path
        assert get(path, {"Authorization": "token wrong"})[0] in (302, 403), path
        assert server.ask("POST", path, b"{}", mine)[0].status == 405, "nothing can be changed there"

    # Which there are.
    assert get("nbcluster/kernels/kernel-2/views") == (200, {"views": []})
    told = get("nbcluster/kernels/kernel-1/views")[1]["views"]
    about = {"cell": "cell-1", "model": "model-1", "count": 7, "state": "live"}
    assert told == [{"cluster": name, "view": VIEW, **about}]

    # What one shows.
    def shown() -> dict[str, object]:
        file.show({"bars": "<p>1</p>"}, "said", {"work": "w"})
        return parts if (parts := get(one)[1]["parts"]) else {}

    assert wait_until(shown, 30, "the view to write, since it was asked") == {"bars": [1, "<p>1</p>"]}
    status, told = get(f"{one}?have=1")
    assert (status, told["parts"], told["stop"]) == (200, {}, {"work": "w"})

    # Plots.
    assert get(f"{one}/plots")[1]["plots"] == {}
    graph = GraphShown((NodeShown(0, "", "a"), NodeShown(1, "", HOSTILE, (0,))))

    def plots() -> dict[str, dict[str, object]]:
        file.show_board(board(2), graph)
        return get(f"{one}/plots?dark=1")[1]["plots"]

    made = wait_until(plots, 60, "the plots")
    assert set(made) == {"stream", "graph", "engines"}
    assert all("root_id" in plot["item"] for plot in made.values())
    assert made["stream"]["label"] == "task stream of 1 engine: 2 tasks"
    have = "&".join(f"have={plot}:{about['shape']}" for plot, about in made.items())
    assert get(f"{one}/plots?{have}")[1]["plots"]["stream"]["columns"]["stream"]["label"] == [
        HOSTILE,
        HOSTILE,
    ]

    # Files.
    for kept, kind in (("lab.js", "javascript"), ("live.css", "css"), ("bokeh.min.js", "javascript")):
        answer, content = server.ask("GET", f"nbcluster/files/{kept}", b"", mine)
        assert (answer.status, kind in (answer.getheader("Content-Type") or "")) == (200, True), kept
        assert content
    for kept in ("routes.py", "..%2Froutes.py", "__init__.py", "bokeh.js"):
        assert server.ask("GET", f"nbcluster/files/{kept}", b"", mine)[0].status == 404, kept

    # What there is not.
    for view in ("x", "..%2Fviews", VIEW.upper(), f"{VIEW}.json"):
        assert get(f"nbcluster/clusters/{name}/views/{view}")[0] in (400, 404), view
    for cluster in ("..%2Fhere", "%2Fetc", ".hidden", "x" * 65):
        assert get(f"nbcluster/clusters/{cluster}/views/{VIEW}")[0] in (400, 404), cluster
    assert get(f"nbcluster/clusters/{name}/views/{'f' * 32}")[0] == 404
    assert get(f"nbcluster/clusters/{name}/views/{'f' * 32}/plots")[0] == 404
    assert get(f"{one}?have=x")[0] == 400
    status, told = get(f"nbcluster/clusters/far./views/{VIEW}")
    assert (status, "another host" in str(told["message"])) == (404, True)
    status, told = get(f"nbcluster/clusters/nowhere/views/{VIEW}")
    assert (status, "'nowhere' has ended" in str(told["message"])) == (404, True)

    file.stay({"text/html": "<p>"}, is_done=True)
    told = get(one)[1]
    assert (told["state"], told["stays"]) == ("done", {"text/html": "<p>"})
    connection_path(name).unlink()
    connection_path("far.").unlink()
