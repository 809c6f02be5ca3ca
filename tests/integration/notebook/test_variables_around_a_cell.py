"""Variables move before and after a cell: --push, --pull, --scatter, --gather, --ship, in a real notebook kernel."""

from __future__ import annotations

import re
import shutil

import pytest
from published import error_of, printed


@pytest.fixture
def page(shared_page):
    return shared_page


def test_push_and_pull_around_a_blocking_cell(page):
    page.run("x, y = 3, [1]")
    page.run("%%distributed --push x,y --pull z,w\nz = x * 2; y.append(z); w = y")
    assert page.text("print(z, w)") == "{0: 6, 1: 6} {0: [1, 6], 1: [1, 6]}\n"
    page.run("%%distributed 1 --push x --pull z\nz = x + 1")
    assert page.text("print(z)") == "4\n"
    page.run("%%distributed any --push x --pull z\nz = x + 2")
    assert page.text("print(z)") == "5\n"
    page.run("%%distributed 0: --push x --pull z --priority -5\nz = x + 3")
    assert page.text("print(z)") == "{0: 6, 1: 6}\n"


def test_scatter_and_gather_around_a_cell(page):
    page.run("data = list(range(5))")
    page.run("%%distributed --scatter data --gather squares\nsquares = [n * n for n in data]")
    assert page.text("print(squares)") == "[0, 1, 4, 9, 16]\n"
    assert page.text("print(cluster[:].gather('data'))") == "[0, 1, 2, 3, 4]\n"
    page.run("%%distributed --scatter data --gather squares --async\nsquares = [n * 10 for n in data]")
    assert page.text("print(squares.result())") == "[0, 10, 20, 30, 40]\n"


def test_large_arrays_are_gathered_into_one_piece_of_memory(page):
    page.run(
        "%%distributed --gather parts,squares\nimport os, numpy as np\nsquares = [1]\n"
        "parts = np.full((100_000, 2), int(os.environ['NBCLUSTER_ENGINE']))"
    )
    shown = page.text(
        "print(parts.shape, parts[:, 1].sum(), parts.flags.owndata, parts.flags.writeable, squares)"
    )
    assert shown == "(200000, 2) 100000 False True [1, 1]\n", "they were not joined here"
    told = page.run(
        "%%distributed --gather parts\nparts = parts[:, :1] if parts[0, 0] else parts", fails=True
    )
    assert "cannot be joined" in str(error_of(told))
    assert page.text("print(parts.shape)") == "(200000, 2)\n", "nothing was bound"


def test_a_cell_that_is_not_waited_for_gives_futures(page, world):
    go = str(world.top / "go")
    page.run(f"import os\nx = 5\ngo = {go!r}")
    page.run(
        "%%distributed --push x,go --pull y --as work --priority 3\nimport os, time\n"
        "while not os.path.exists(go): time.sleep(0.01)\ny = x + 1"
    )
    assert page.text("print(type(y).__name__, y.done(), work.done())") == "ManyFuture False False\n"
    assert (
        page.text("open(go, 'w').close(); print(y.result(20), work.exception(20))") == "{0: 6, 1: 6} None\n"
    )


def test_a_future_goes_from_engine_to_engine(page):
    page.run("f = cluster.options(on=0).submit(list, range(3))")
    page.run("%%distributed 1 --push f --pull g\ng = f + [9]")
    assert page.text("print(g)") == "[0, 1, 2, 9]\n"


def test_what_is_pulled_of_a_failed_cell_is_no_value(page):
    page.run("%%distributed\nz = 'old'")
    page.run("z = 'kept'")
    page.run("%%distributed --pull z\nz = 'new'; 1 / 0", fails=True)
    assert page.text("print(z)") == "kept\n"
    page.run("%%distributed --pull z --async\n1 / 0")
    assert (
        page.text("print({type(e).__name__ for e in z.exception(20).errors.values()})")
        == "{'DependencyFailed'}\n"
    )


def test_what_cannot_be_is_said_before_anything_is_sent(page):
    assert "--push dta: the notebook has no such name; did you mean data?" in error_of(
        page.run("data = 1\n%distributed --push dta 1", fails=True)
    )
    page.run("import threading; lock = threading.Lock(); x = 77")
    text = error_of(page.run("%%distributed --push x,lock\nran = True", fails=True))
    assert "NotSerializable: the variable 'lock'" in text
    assert "nothing was sent" in text
    assert page.text("%distributed --on 0 print('x' in dir(), 'ran' in dir())") == "False False\n"
    text = error_of(page.run("%%distributed --pull nothing\n1", fails=True))
    assert "UsageError: --pull nothing: the cell ran, and engines 0,1 have no such name" in text.replace(
        "\n", ""
    )


ONLY_HERE = """
import sys, types
module = types.ModuleType('only_here'); sys.modules['only_here'] = module
exec('class Thing: pass', module.__dict__)
module.Thing.__module__ = 'only_here'
thing = module.Thing()
"""


def test_a_push_that_does_not_load_there_comes_before_the_cell(page):
    page.run(ONLY_HERE)
    text = error_of(page.run("%%distributed --push thing\nran = True", fails=True))
    assert "only_here" in text
    assert page.text("%distributed --on 0 print('ran' in dir())") == "False\n"
    page.run("%%distributed 0 --push thing --as work\nimport time; time.sleep(30)")
    assert "only_here" in page.text("print(work.exception(20))")


def test_an_interrupt_ends_the_wait_for_a_push(page, world):
    go = str(world.top / "go")
    page.run(
        'x = 1\nout = cluster[0].execute("import os, time\\n'
        f'while not os.path.exists({go!r}): time.sleep(0.01)", wait=False)'
    )
    cell = page.start("%%distributed --push x\nran = True")
    page.wait_for(
        lambda: any("waiting: engine 0 runs" in str(said["content"]) for said in page.of(cell)), "the reason"
    )
    page.manager.interrupt_kernel()
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert "KeyboardInterrupt: interrupted while variables were on their way" in error_of(page.of(cell))
    page.run(f"open({go!r}, 'w').close(); out.result(20)")
    assert page.text("%distributed --on 0 print('x' in dir(), 'ran' in dir())") == "False False\n"


def test_live_cells_move_beside_what_runs(page, world):
    go = str(world.top / "go")
    page.run(
        'step = 5\nout = cluster[:].execute("import os, time\\nstate = 0\\n'
        f'while not os.path.exists({go!r}): time.sleep(0.01)", wait=False)'
    )
    page.wait_for(lambda: page.text("print(out.running())") == "True\n", "the begin")
    page.run("%%distributed --live --push step --pull seen\nseen = state + step")
    assert page.text("print(seen, out.done())") == "{0: 5, 1: 5} False\n"
    page.run(f"open({go!r}, 'w').close(); out.result(20)")


def test_ship_sends_what_is_read_and_lacking(page):
    page.run(
        "import math\ndata = bytes(200_000)\ndef fit(d):\n    return len(d) + offset\noffset = 7\nunused = 1"
    )
    text = printed(page.run("%%distributed --ship\nprint(f'{fit(data)}', math.pi > 3, len(In) > 0)"))
    assert "shipped fit, data (195 KiB) and math to engines 0,1\n" in text
    assert text.count("200007 True True") == 2
    # It is there now; nothing more goes.
    assert "shipped" not in printed(page.run("%%distributed --ship\nprint(fit(data))"))
    page.run("data = bytes(10)")
    assert "shipped data to engines 0,1" in printed(page.run("%%distributed --ship\nprint(fit(data))"))
    # A cell has bound it since: that stays.
    page.run("%%distributed 0\ndata = bytes(50)")
    page.run("data = bytes(20)")
    text = printed(page.run("%%distributed --ship\nprint(fit(data))"))
    assert "shipped data to engine 1\n" in text
    assert "[0] 57" in text
    assert "[1] 27" in text
    # A cell that binds the name itself needs none.
    assert "shipped" not in printed(page.run("%%distributed --ship\nunused = 2; print(unused)"))


def test_ship_says_what_cannot_go_and_leaves_it(page):
    page.run("import threading; lock = threading.Lock(); n = 4")
    text = error_of(published := page.run("%%distributed --ship\nprint(n)\nlock", fails=True))
    assert "not shipped: 'lock'" in printed(published)
    assert "shipped n to engines 0,1" in printed(published)
    assert "NameError" in text


def test_a_named_namespace_is_moved_in_and_completed_in(page):
    page.run("x = 1")
    page.run("%%distributed --namespace exp1 --push x --pull y\nxylophone = 1; y = x + 1")
    assert (
        page.text("print(y, cluster.namespace('exp1').keys()[0])") == "{0: 2, 1: 2} ['x', 'xylophone', 'y']\n"
    )
    assert page.text("%distributed print('x' in dir())").count("False") == 2
    page.client.complete("%%distributed --namespace exp1\nxyl", 33)
    reply = page.client.get_shell_msg(timeout=20)
    while reply["msg_type"] != "complete_reply":
        reply = page.client.get_shell_msg(timeout=20)
    assert "xylophone" in reply["content"]["matches"]


def test_a_missing_name_that_the_notebook_has_is_told_how_to_send(page):
    page.run("half = 2")
    text = error_of(page.run("%%distributed\nhalf", fails=True))
    assert "The notebook has 'half': %%distributed --push half sends it" in text
    page.run("%%distributed\nhalf = 3")
    page.run("del half\n%cluster restart 0")
    text = error_of(page.run("%%distributed 0\nhalf", fails=True))
    assert re.search(r"Engine 0 was restarted at \d\d:\d\d and lost 'half'", text)


@pytest.fixture
def bash(page, bash_kernel, world, module_world):
    shutil.copytree(world.jupyter_data, module_world.jupyter_data, dirs_exist_ok=True)  # the page looks there
    page.run(f"%cluster add 1 --kernel {bash_kernel}")


def test_other_languages_are_refused_by_name(page, bash):
    page.run("x = 1")
    for option in ("--push x", "--pull x", "--namespace exp1", "--ship"):
        text = error_of(page.run(f"%%distributed 2 {option}\necho hello", fails=True))
        assert "NotSupported: engine 2 runs the kernel 'bash' (bash)" in text, option


def test_retries_and_resources(page):
    page.run("%%distributed 0 --retries 2\nn = globals().get('n', 0) + 1\nassert n == 3")
    assert page.text("%distributed --on 0 print(n)") == "3\n"
    text = error_of(page.run("%%distributed --resources gpu=1\n1", fails=True))
    assert "NoEngines" in text
    assert "gpu" in text


def test_behind_a_cell_that_runs_the_order_is_kept_and_what_it_binds_stays(page, world):
    go = str(world.top / "go")
    page.run(
        'late, x = "the notebook\'s", 1\nrunning = cluster[0].execute("import os, time\\n'
        f"while not os.path.exists({go!r}): time.sleep(0.01)\\n"
        "late = 'its own'\", wait=False)"
    )
    page.run("%%distributed 0 --ship --pull seen --as shipping\nseen = late")
    page.run("%%distributed 0 --push x --pull y --priority 5 --as pushing\ny = x + 1")
    assert page.text("print(seen.done(), y.done())") == "False False\n"
    page.run(f"open({go!r}, 'w').close()")
    assert page.text("print(seen.result(20), y.result(20))") == "its own 2\n"
