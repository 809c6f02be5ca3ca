"""Stories of notebooks that are run headless: their output, late output, failures, and what is left: nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import nbformat

from nbcluster.testing.waiting import wait_until

START = "%load_ext nbcluster\n%cluster start -n 1"


def text_of(cell: nbformat.NotebookNode) -> str:
    """Everything that a cell shows, as text."""
    return "".join(
        output.text if output.output_type == "stream" else str(output.data.get("text/plain", "")) + "\n"
        for output in cell.outputs
        if output.output_type != "error"
    )


def test_output_is_printed_under_the_header_of_its_cell(cli, notebook) -> None:
    path = notebook(
        "print('one')",
        "import sys\n\nprint('two', file=sys.stderr)\n{'a': 2}",
        "",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))",
    )
    result = cli("run", path)
    assert result.stdout.splitlines() == [
        "[1/3] print('one')",
        "one",
        "[2/3] import sys",
        "{'a': 2}",
        "[3/3] from IPython.display import HTML, display",
        "<IPython.core.display.HTML object>",
    ]
    assert result.stderr == "two\n", "and no kernel warns"


def test_a_failing_cell_ends_the_run_and_is_named(cli, notebook, tmp_path: Path) -> None:
    path = notebook("a = 1", "# divide\nb = 0\na / b\nprint('no')", "print('never')")
    result = cli("run", path, "--output", tmp_path / "out.ipynb", code=1)
    assert "never" not in result.stdout
    assert "----> 3 a / b" in result.stderr
    assert result.stderr.splitlines()[-5:] == [
        "nbcluster run: cell 2 of 3 failed: ZeroDivisionError: division by zero",
        "    # divide",
        "    b = 0",
        "    a / b",
        "    …",
    ]
    written = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert [output.output_type for output in written.cells[1].outputs] == ["error"]
    assert written.cells[2].outputs == []


def test_a_failure_on_engines_fails_the_run(cli, notebook) -> None:
    result = cli("run", notebook(START, "%%distributed\n1 / 0"), code=1)
    assert "nbcluster run: cell 2 of 2 failed:" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_errors_can_be_allowed(cli, notebook) -> None:
    expected = notebook(("1 / 0", ["raises-exception"]), "print('after')")
    assert "after" in cli("run", expected).stdout
    unexpected = notebook("1 / 0", "print('after')")
    result = cli("run", unexpected, "--allow-errors")
    assert "after" in result.stdout
    assert "cell 1 of 2 failed" in result.stderr


def test_late_output_lands_in_its_cell_and_is_waited_for(cli, notebook, tmp_path: Path) -> None:
    path = notebook(
        START,
        "%%distributed 0 --async --as slow\nimport time\n"
        "for n in range(3):\n    print('slow', n)\n    time.sleep(0.4)",
        "print('at once')",
        "%%distributed --async\nfrom IPython.display import HTML, display\nprint('queued')\n"
        "display(HTML('<i>late</i>'))",
    )
    result = cli("run", path, "--output", tmp_path / "out.ipynb")
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert [line for line in text_of(cells[1]).splitlines() if line.startswith("slow")] == [
        "slow 0",
        "slow 1",
        "slow 2",
    ]
    assert text_of(cells[2]) == "at once\n"
    assert "queued" in text_of(cells[3])
    assert any(output.get("data", {}).get("text/html") == "<i>late</i>" for output in cells[3].outputs)
    lines = result.stdout.splitlines()
    assert lines.count("slow 2") == 1
    assert "[2/4] (later) %%distributed 0 --async --as slow" in lines
    assert lines.index("at once") < lines.index("slow 2")


def test_the_runs_cluster_is_the_notebooks(cli, notebook) -> None:
    path = notebook(
        "%load_ext nbcluster\n%cluster start -n 1",
        "print(len(cluster.engines), cluster.started_here)",
        "%cluster list",
    )
    result = cli("run", path, "-n", 2)
    assert "2 False" in result.stdout.splitlines()
    assert cli("list", "--json").stdout == "[]\n", "it ended with the run"


def test_a_named_cluster_that_ran_before_goes_on(cli, notebook) -> None:
    cli("start", "-n", 1, "--name", "mine")
    result = cli("run", notebook(START + "\ncluster.name"), "--name", "mine")
    assert "'mine'" in result.stdout
    assert [cluster["name"] for cluster in json.loads(cli("list", "--json").stdout)] == ["mine"]
    cli("stop", "mine")


def test_a_cell_that_takes_too_long_is_interrupted(cli, notebook) -> None:
    result = cli("run", notebook("import time\ntime.sleep(600)"), "--timeout", 1, code=1)
    assert "cell 1 of 1 failed: Timeout: it ran longer than 1 s" in result.stderr


def test_a_kernel_that_dies_is_told(cli, notebook) -> None:
    result = cli("run", notebook("import os\nos._exit(3)"), code=1)
    assert "nbcluster run: the notebook's kernel died" in result.stderr.splitlines()[-1]


def test_ctrl_c_interrupts_the_cell_and_ends_the_run(cli, in_background, notebook) -> None:
    path = notebook(
        START, "%%distributed 0\nprint('working', flush=True)\nwhile True:\n    pass", "print('never')"
    )
    process = in_background("run", path)
    assert process.stdout is not None
    wait_until(lambda: process.stdout.readline() == "working\n", 40, "the cell to run")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "never" not in out
    assert err.splitlines()[-1] == "nbcluster run: interrupted"
    assert cli("list", "--json").stdout == "[]\n"


def test_a_terminated_run_leaves_nothing(in_background, notebook, world) -> None:
    process = in_background("run", notebook(START, "print('here')\nimport time\ntime.sleep(600)"))
    assert process.stdout is not None
    wait_until(lambda: process.stdout.readline() == "here\n", 40, "the cell to run")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=40)
    assert process.returncode == 130
    wait_until(lambda: not world.leftovers(), 30, "nothing to be left")


def test_a_missing_kernel_of_this_language_is_this_interpreter(cli, notebook) -> None:
    python = {"name": "some-env", "display_name": "x", "language": "python"}
    assert "42" in cli("run", notebook("print(6 * 7)", kernelspec=python)).stdout
    julia = {"name": "julia-9", "display_name": "x", "language": "julia"}
    refused = cli("run", notebook("1", kernelspec=julia), code=1)
    assert "needs the kernel 'julia-9' (julia), which is not installed" in refused.stderr


def test_a_file_that_is_no_notebook_is_refused(cli, tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("{]")
    assert "x.ipynb is no notebook" in cli("run", "x.ipynb", code=2).stderr


def test_the_last_state_of_a_moving_bar_is_printed(cli, notebook) -> None:
    path = notebook(
        "from tqdm import tqdm\nfor _ in tqdm(range(3)):\n    pass",
        START,
        "%cluster scale 2",
        "%%distributed --group order\nfrom tqdm import tqdm\nfor _ in tqdm(range(3)):\n    pass",
    )
    result = cli("run", path)
    bars = [line for line in (result.stdout + result.stderr).splitlines() if "it/s" in line]
    assert sorted("100%" in bar for bar in bars) == [True, True, True], bars
