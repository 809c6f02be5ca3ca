"""The laws that can be read off the source: layers, purity, laziness, one idea a file."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nbcluster import errors
from nbcluster.version import __version__

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nbcluster"
MODULES = sorted(PACKAGE.rglob("*.py"))
IMPURE = {"asyncio", "zmq", "time", "random", "threading", "socket", "os", "subprocess", "secrets", "uuid"}
HEAVY = {
    "zmq",
    "IPython",
    "ipykernel",
    "jupyter_client",
    "bokeh",
    "jupyter_server",
    "ipywidgets",
    "anywidget",
    "psutil",
    "numpy",
    "pandas",
}
ERRORS = sorted(
    (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.NBClusterError)
    ),
    key=lambda kind: kind.__name__,
)


def named(path: Path) -> str:
    """Return the path as a reader of a failed test wants it."""
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> set[str]:
    """Return the top-level packages that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.partition(".")[0])
            case _:
                continue
    return found


def test_arrows_point_down() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    result = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Contracts: 2 kept, 0 broken." in result.stdout


def test_every_package_has_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {
        name.strip()
        for contract in contracts
        for row in contract.get("layers", ())
        for name in row.split("|")
    }
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages - layers == set()


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name in {"core", "protocol"}], ids=named)
def test_core_and_protocol_are_pure(path: Path) -> None:
    assert imports_of(path) & IMPURE == set()


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "payload"], ids=named)
def test_payload_knows_no_loop_and_no_kernel(path: Path) -> None:
    assert (
        imports_of(path) & {"asyncio", "zmq", "IPython", "ipykernel", "time", "random", "subprocess"} == set()
    )


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name != "server"], ids=named)
def test_jupyter_server_is_imported_by_its_extension_alone(path: Path) -> None:
    assert "jupyter_server" not in imports_of(path)


def test_the_extension_is_enabled_by_what_the_wheel_brings() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {target: source for source, target in wheel["shared-data"].items()}
    source = sources["etc/jupyter/jupyter_server_config.d/nbcluster.json"]
    enabled = json.loads((ROOT / source).read_text())["ServerApp"]["jpserver_extensions"]
    for name in enabled:
        [point] = importlib.import_module(name)._jupyter_server_extension_points()
        assert hasattr(importlib.import_module(point["module"]), "_load_jupyter_server_extension")


def test_jupyterlab_finds_what_the_wheel_brings() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {target: source for source, target in wheel["shared-data"].items()}
    place = ROOT / sources["share/jupyter/labextensions/nbcluster"]
    package = json.loads((place / "package.json").read_text())
    assert (package["name"], package["version"]) == ("nbcluster", __version__)
    assert (place / package["jupyterlab"]["_build"]["load"]).is_file()


def test_the_import_is_light() -> None:
    code = "import sys, json, nbcluster; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(result.stdout)}
    assert "nbcluster" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_begins_with_a_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring is not None, f"{named(path)} has no docstring"
    first_line = docstring.splitlines()[0]
    assert re.match(r"[A-Z`'\"].*[.:]$", first_line), (
        f"{named(path)} does not begin with a sentence: {first_line!r}"
    )


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_is_one_idea(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 500, f"{named(path)} has {lines} lines: is it still one idea?"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_is_left_open(path: Path) -> None:
    open_ends = re.findall(r".*\b(?:TODO|FIXME|NotImplementedError)\b.*", path.read_text())
    assert open_ends == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_bare_pass_swallows_an_error(path: Path) -> None:
    swallowed = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
        and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]
    assert swallowed == [], f"{named(path)} swallows every error in lines {swallowed}"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_documented(kind: type[errors.NBClusterError]) -> None:
    assert kind.__doc__, f"{kind.__name__} has no docstring"
    assert f"`{kind.__name__}`" in (ROOT / "docs/errors.md").read_text(), (
        f"docs/errors.md lacks {kind.__name__}"
    )


def test_an_error_comes_home_under_its_name() -> None:
    assert {name: kind.__name__ for name, kind in errors.BY_NAME.items()} == {
        name: name for name in errors.BY_NAME
    }


def test_entry_points_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["scripts"].values(), *project["entry-points"]["nbcluster.launchers"].values()]
    for target in wanted:
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), target
