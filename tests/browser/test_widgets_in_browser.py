"""Widgets made on engines, shown and used in JupyterLab."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(180)

START = "%load_ext nbcluster\n%cluster start -n 2"

SLIDER = """%%distributed
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=50, description='depth')
label = ipywidgets.Label('not moved')
slider.observe(lambda change: setattr(label, 'value', f'moved to {change.new}'), 'value')
display(ipywidgets.HBox([slider, label]))"""

BAR = """%%distributed
import time
from tqdm.notebook import tqdm
for i in tqdm(range(20), desc='fit'):
    time.sleep(0.1)"""


def test_slider_and_bars_of_engines(notebook):
    nb = notebook(START, SLIDER, BAR, "%%distributed\nslider.value")
    nb.run(0)
    nb.run(1)
    sliders = nb.outputs(1).locator(".widget-slider .noUi-handle")
    nb.wait_until(lambda: sliders.count() == 2, lambda: "two sliders")
    # The sliders come in the order in which the engines were ready.
    headings = [text for text in nb.text(1).splitlines() if text.startswith("engine")]
    moved = int(headings[0].removeprefix("engine "))
    sliders.first.focus()
    for _ in range(5):
        sliders.first.press("ArrowRight")
    # A callback on the engine answers on the page.
    nb.wait_for_text(1, "moved to 8")
    nb.run(3)
    nb.wait_for_text(3, f"[{moved}] 8")
    assert sorted(nb.text(3).splitlines()) == sorted([f"[{moved}] 8", f"[{1 - moved}] 3"])

    nb.start(2)
    bars = nb.outputs(2).locator(".widget-hprogress, .jupyter-widgets.progress, progress, [role=progressbar]")
    nb.wait_until(lambda: bars.count() >= 2, lambda: f"two bars; there is {nb.text(2)!r}")
    seen: set[str] = set()

    def watch() -> bool:
        seen.add(nb.text(2))
        return nb.count(2) != "[*]:"

    nb.wait_until(watch, lambda: "the end of the bars")
    assert len(seen) > 4
    nb.wait_until(lambda: nb.text(2).count("20/20") == 2, lambda: f"both bars at their end: {nb.text(2)!r}")
    nb.picture("widgets-light")
    nb.use_theme("JupyterLab Dark")
    nb.picture("widgets-dark")


def test_widgets_are_there_again_when_the_page_is_loaded_again(notebook):
    nb = notebook(START, SLIDER.replace("%%distributed", "%%distributed 0"), "")
    nb.run(0)
    nb.run(1)
    handle = nb.outputs(1).locator(".widget-slider .noUi-handle")
    nb.wait_until(lambda: handle.count() == 1, lambda: "the slider")
    handle.press("ArrowRight")
    nb.wait_for_text(1, "moved to 4")
    nb.command("docmanager:save")
    nb.wait_until(lambda: "moved" not in nb.page.title() and saved(nb), lambda: "the notebook to be saved")
    nb.load()
    nb.wait_for_text(1, "moved to 4")
    nb.wait_until(lambda: handle.count() == 1, lambda: "the slider")
    handle.press("ArrowRight")
    nb.wait_for_text(1, "moved to 5")
    assert nb.do("%distributed --on 0 print(slider.value)")
    nb.wait_for_text(3, "5")


def test_a_widget_whose_engine_has_restarted_stays_but_is_off(notebook):
    nb = notebook(START, SLIDER.replace("%%distributed", "%%distributed 0"), "%cluster restart 0")
    nb.run(0)
    nb.run(1)
    nb.wait_until(lambda: nb.outputs(1).locator(".widget-slider").count() == 1, lambda: "the slider")
    nb.run(2)
    nb.wait_until(
        lambda: nb.outputs(1).locator(".widget-slider [disabled]").count() == 1,
        lambda: "a slider that is off",
    )
    nb.picture("widgets-cut-off")


def saved(nb) -> bool:
    """Whether the file is what the page shows."""
    return not nb.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.model.dirty")


OUTPUT = """%%distributed 0
import ipywidgets
from IPython.display import HTML, display
out = ipywidgets.Output(layout={'border': '1px solid gray'})
display(out)
with out:
    print('line in the widget')
    display(HTML('<b class="mine">rich</b>'))
print('line of the cell')"""

INTERACT = """%%distributed 0
@ipywidgets.interact(x=(0, 10))
def double(x=2):
    print('twice', 2 * x)"""


def test_output_widgets_and_interact_hold_what_is_shown_in_them(notebook):
    nb = notebook(START, OUTPUT, "%%distributed 0\nwith out:\n    print('from a later cell')", INTERACT)
    nb.run(0)
    nb.run(1)
    inside = nb.outputs(1).locator(".jupyter-widgets.widget-output, .lm-Widget.jupyter-widgets-output-area")
    nb.wait_until(lambda: inside.count() >= 1, lambda: "the widget")
    nb.wait_until(lambda: "line in the widget" in inside.first.inner_text(), lambda: nb.text(1))
    assert inside.first.locator("b.mine").count() == 1
    nb.wait_for_text(1, "line of the cell")
    assert "line of the cell" not in inside.first.inner_text()
    nb.run(2)
    nb.wait_until(lambda: "from a later cell" in inside.first.inner_text(), lambda: nb.text(1))
    assert "from a later cell" not in nb.text(2)
    nb.run(3)
    nb.wait_for_text(3, "twice 4")
    handle = nb.outputs(3).locator(".widget-slider .noUi-handle")
    for _ in range(3):
        handle.press("ArrowRight")
    nb.wait_for_text(3, "twice 10")
    assert nb.outputs(3).first.inner_text().count("twice") == 1
    nb.picture("output-widgets-light")
    nb.use_theme("JupyterLab Dark")
    nb.picture("output-widgets-dark")
