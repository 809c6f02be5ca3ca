"""Cells that come after other cells: by --after, and untold, by the names that they read; in a real notebook kernel."""

from __future__ import annotations

import re

import pytest
from published import error_of, printed

WAIT = (
    "import os, time\nend = time.time() + 20\n"
    "while not os.path.exists(go) and time.time() < end: time.sleep(0.005)\n"
)


def shown(published):
    return " ".join(str(said["content"].get("data", "")) for said in published)


def hold(page, world):
    """A name for a file that a cell waits for."""
    page.run(f"go = {str(world.top / 'go')!r}")


def let_go(page):
    page.run("open(go, 'w').close()")


@pytest.fixture
def page(shared_page):
    return shared_page


def test_after_waits_for_cells_and_calls(page, world):
    hold(page, world)
    page.run(f"%%distributed 0 --push go --as load\n{WAIT}x = 1")
    page.run("call = cluster.submit(pow, 2, 3)")
    page.run("%%distributed 1 --as fit --after load,call\nimport os\ny = 'ran'")
    assert page.text("print(fit.status, load.done())") == "queued False\n"
    assert "waits for 'cell [" in page.text("print(fit.explain())")
    let_go(page)
    assert page.text("print(fit.result(20), load.status, cluster[1]['y'])") == "None done ran\n"


def test_a_name_that_another_cell_writes_is_waited_for_untold(page, world):
    hold(page, world)
    page.run(f"%%distributed 0 --push go --as load\n{WAIT}rows = [1, 2]")
    page.run("%%distributed 0 --as fit\ntotal = sum(rows)")
    page.run("%%distributed 0 --as other\nnothing = 1")
    plan = printed(page.run("%%distributed 0 --plan --as draw\ntotal + len(rows)"))
    assert re.search(r"after cell \[\d+\] `load`, which writes rows", plan), plan
    assert re.search(r"after cell \[\d+\] `fit`, which writes total", plan), plan
    assert page.text("print('draw' in globals())") == "False\n"
    let_go(page)
    assert page.text("print(fit.exception(20), cluster[0]['total'])") == "None 3\n"


def test_what_fails_is_passed_on_with_its_cause(page):
    page.run("%%distributed 0 --as load\nrows = [1]; 1 / 0")
    page.run("%%distributed 0 --as fit\ntotal = sum(rows)")
    page.run("%%distributed 1 --as far --after fit\n5")
    assert page.text(
        "for f in (fit, far):\n    e = f.exception(20)\n    print(type(e).__name__, type(e.__cause__).__name__)"
    ) == "DependencyFailed RemoteError\nDependencyFailed RemoteError\n".replace("far", "")
    text = page.text("print(fit.exception(20))")
    assert re.search(
        r"cell \[\d+\].* comes after .*cell \[\d+\].*ZeroDivisionError: division by zero", text
    ), text
    error = error_of(page.run("%%distributed 0 --after load\n1", fails=True))
    assert "DependencyFailed" in error
    assert page.text("%%distributed 0\nprint(rows)").endswith("[1]\n"), "a plain cell looks at what is there"


def test_what_an_interrupted_cell_has_left_is_read_where_it_ran(page):
    page.run(
        "%%distributed 0 --as endless\nimport time\nrounds = 1\nprint('up')\nwhile True: time.sleep(0.01)"
    )
    assert page.text("while 'up' not in endless.output: pass\nprint(endless.cancel(20))") == "True\n"
    page.run("%%distributed 0 --as reader\nseen = rounds, time.time() > 0")
    assert page.text("print(reader.exception(20), cluster[0]['seen'])") == "None (1, True)\n"


def test_cells_for_any_find_their_names(page, world):
    hold(page, world)
    page.run(f"%%distributed any --push go --as a\n{WAIT}x = 5; here_a = os.getpid()")
    page.run("%%distributed any --as b\nimport os\ny = 6; here_b = os.getpid()")
    page.run("%%distributed any --as c\nx + y, here_a != here_b")
    let_go(page)
    assert page.text("print(c.result(20))") == "(11, True)\n"
    page.run("%%distributed any --as d\nimport os\nz = 7; os.getpid()")
    page.run("%%distributed any --as e\nimport os\nz, os.getpid()")
    assert page.text("print(e.result(20) == (7, d.result(20)))") == "True\n"
    page.run("%%distributed --as f\nz * 2")
    assert page.text("print(f.result(20))") == "{0: 14, 1: 14}\n"
    page.run("%%distributed --as mine\nz = 'own'")
    page.run("%%distributed --as g\nz")
    assert page.text("print(g.result(20))") == "{0: 'own', 1: 'own'}\n"


def test_what_used_a_cell_that_ran_again_is_stale(page):
    page.run("%%distributed 0 --as load\nrows = [1]")
    page.run("%%distributed 0 --as fit\ntotal = sum(rows)")
    page.run("%%distributed 0 --as draw\nf'total {total}'")
    page.run("%%distributed 0 --as other\nnothing = 1")
    assert "stale" not in page.text("print(draw.result(20), [load, fit, draw, other])")
    page.run("%%distributed 0 --as load\nrows = [1, 2]")
    shown = page.text(
        "print(draw); print(draw.explain()); print(cluster.explain(fit)); print(load); print(other)"
    )
    draw, explained, fit, load, other = shown.splitlines()
    stale = r"stale: cell \[\d+\] `load` ran again since \(\d\d:\d\d\)"
    for said in (draw, explained, fit):
        assert re.search(stale, said), said
    assert "stale" not in load + other
    page.run("%%distributed 0 --as fit\ntotal = sum(rows)")
    first, second = page.text("print(fit.result(20), fit); print(draw)").splitlines()
    assert first.startswith("None <Future"), first
    assert "stale" not in first
    assert "stale" in second


def test_cycles_and_strangers_are_refused_by_name(page):
    page.run("%%distributed 0 --as a\n1")
    page.run("%%distributed 0 --as b --after a\n2")
    text = error_of(page.run("%%distributed 0 --as a --after b\n1", fails=True))
    assert "CycleError: --as a --after b: a comes after b comes after a" in text
    assert "CycleError: --as a --after a: a comes after a" in error_of(
        page.run("%%distributed 0 --as a --after a\n1", fails=True)
    )
    assert "--after nope: the notebook has no such name" in error_of(
        page.run("%%distributed 0 --after nope\n1", fails=True)
    )
    page.run("number = 3")
    assert "--after number: that is no Future but int" in error_of(
        page.run("%%distributed 0 --after number\n1", fails=True)
    )


def test_a_cell_does_not_begin_when_what_is_pushed_to_it_fails(page):
    page.run("class Bad:\n    def __reduce__(self): return (int, ('no number',))\nbad = Bad()")
    page.run("failing = cluster.submit(lambda: 1 / 0)")
    for name in ("bad", "failing"):
        page.run("%%distributed\nran = False")
        page.run(f"%%distributed --push {name} --as work\nran = True")
        kind, ran = page.text(
            "error = work.exception(20)\n"
            "print({type(e).__name__ for e in getattr(error, 'errors', {0: error}).values()})\n"
            "print(cluster[:]['ran'])"
        ).splitlines()
        assert "DependencyFailed" in kind, kind
        assert ran == "{0: False, 1: False}"


def test_interrupted_after_waiting(page, world):
    hold(page, world)
    page.run(f"%%distributed 0 --push go --as load\n{WAIT}x = 1")
    cell = page.start("%%distributed 1 --after load\n'never'")
    page.wait_for(lambda: "waiting for cell [" in shown(page.of(cell)), "why it waits")
    page.manager.interrupt_kernel()
    page.wait_for(lambda: page.is_idle(cell), "its end")
    assert "the cell was interrupted" in error_of(page.of(cell))
    let_go(page)
    assert page.text("print(load.exception(20))") == "None\n"
