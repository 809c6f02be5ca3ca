"""The route by which pages stop work: who may use it, what it refuses, and that what it stops is stopped."""

from __future__ import annotations

import time

import pytest

from nbcluster import Cluster
from nbcluster.errors import TaskCancelled
from nbcluster.testing.waiting import wait_until


def test_only_who_is_logged_in_may_stop_and_only_what_there_is(server, world):
    cluster = Cluster(1, name="here")
    stop = "nbcluster/clusters/here/stop"
    mine = {"Authorization": f"token {server.token}"}
    future = cluster.submit(time.sleep, 60)
    wait_until(future.running, 30, "the call to run")

    # Who may.
    assert server.post(stop)[0] == 403
    assert server.post(stop, Authorization="token wrong")[0] == 403
    cookies, xsrf = server.visit("login?token=")
    assert server.post(stop, Cookie=cookies, X_XSRFToken=xsrf)[0] == 403, (
        "a stranger's page has an XSRF token too"
    )
    cookies, xsrf = server.visit(f"tree?token={server.token}")
    assert server.post(stop, Cookie=cookies)[0] == 403, "a form of another site has the cookie alone"
    assert server.post(stop, Cookie=cookies, X_XSRFToken="forged")[0] == 403
    answer, _ = server.ask("GET", stop, b"", {"Cookie": cookies, "X_XSRFToken": xsrf})
    assert answer.status == 405, "nothing is changed by a link"

    # What there is.
    for name in ("..%2Fhere", "%2e%2e", "..", "%2Fetc%2Fpasswd", "here%00", "a%20b", ".hidden", "x" * 65):
        status, told = server.post(f"nbcluster/clusters/{name}/stop", **mine)
        assert (status, told.get("error", "")) in ((400, "UsageError"), (404, "")), name
    for body in (
        b"[]",
        b"{",
        b'{"work": 3}',
        b'{"work": "../x"}',
        b'{"work": "%s"}' % (b"a" * 65),
        b'{"all": true}',
    ):
        status, told = server.post(stop, body, **mine)
        assert (status, told["error"]) in ((400, "ValidationError"), (400, "DecodeError")), body
        assert told["message"]
    status, told = server.post("nbcluster/clusters/nowhere/stop", **mine)
    assert (status, told["error"]) == (404, "UnknownCluster")
    assert "nowhere" in told["message"]
    status, told = server.post(stop, b'{"work": "aa"}', **mine)
    assert (status, told["error"]) == (409, "UsageError")
    assert "nobody waits for work on 'here'" in told["message"]
    assert future.running(), "nothing of all that has stopped anything"

    # What is stopped.
    status, told = server.post(stop, b"", Cookie=cookies, X_XSRFToken=xsrf)
    assert (status, told) == (202, {"message": "the cluster 'here' was told to stop"})
    with pytest.raises(TaskCancelled, match="stopped by"):
        future.result(30)
    assert cluster.submit(len, "abc").result(30) == 3, "the engine goes on"
    cluster.stop()
    status, told = server.post(stop, **mine)
    assert (status, told["error"]) == (404, "UnknownCluster")
