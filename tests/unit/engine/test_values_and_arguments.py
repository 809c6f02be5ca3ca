"""Values become text and come back; what is not sent says why. The arguments name classes that exist."""

from __future__ import annotations

import base64
import importlib
import pickle
import threading

import ipykernel.ipkernel
import pytest
from ipykernel.iostream import OutStream
from ipykernel.kernelbase import Kernel
from ipykernel.zmqshell import ZMQInteractiveShell
from msgspec import ValidationError

from nbcluster.engine import seams
from nbcluster.engine.arguments import kernel_argv
from nbcluster.engine.values import Unsent, Wishes, collect, dump, load, read_wishes
from nbcluster.errors import NotSerializable


class Sized:
    """Claims a size and must not be pickled to know it."""

    nbytes = 3 << 20

    def __reduce__(self) -> str:
        raise AssertionError("pickled in spite of its size")


def test_values_come_back() -> None:
    for value in (None, 1, "text", [1, {"a": b"bytes"}], lambda x: x + 1):
        back = load("x", dump(value, 1 << 20, "-"))
        assert back(1) == 2 if callable(value) else back == value


def test_a_large_value_is_known_by_its_size_or_while_it_is_pickled() -> None:
    with pytest.raises(Unsent, match=r"^3 MiB, more than the 1 MiB that are sent; cut it$"):
        dump(Sized(), 1 << 20, "cut it")
    with pytest.raises(Unsent, match=r"^more than the 1 KiB that are sent; cut it$"):
        dump(list(range(10_000)), 1024, "cut it")
    assert load("x", dump(list(range(100)), 1024, "-")) == list(range(100))


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises(Unsent, match="a lock cannot be pickled: TypeError"):
        dump(threading.Lock(), 1 << 20, "-")


def test_what_cannot_be_unpickled_names_the_variable_and_the_module() -> None:
    missing = base64.b64encode(b"cno_such_module\nthing\n.").decode()
    with pytest.raises(NotSerializable, match=r"'model' needs the module 'no_such_module'"):
        load("model", missing)
    with pytest.raises(NotSerializable, match="'model' cannot be unpickled here"):
        load("model", base64.b64encode(b"rubbish").decode())


def test_collecting_never_fails() -> None:
    wishes = Wishes(pull=("a", "lock", "gone"), want_value=True)
    values, unsent = collect(wishes, {"a": 1, "lock": threading.Lock()}, lambda: Sized())
    assert {name: pickle.loads(base64.b64decode(text)) for name, text in values.items()} == {"a": 1}
    assert set(unsent) == {"lock", "gone", ""}
    assert unsent["gone"].startswith("missing:")


def test_wishes_are_read_strictly() -> None:
    assert read_wishes(None) == read_wishes({"cellId": "c"}) == Wishes()
    assert read_wishes({"nbcluster": {"pull": ["a"]}}) == Wishes(pull=("a",))
    with pytest.raises(ValidationError):
        read_wishes({"nbcluster": {"pull": 1}})


def test_the_arguments_name_classes_that_exist() -> None:
    argv = kernel_argv("/k.json")
    assert argv[:2] == ("-f", "/k.json")
    named = [entry.partition("=")[2] for entry in argv if "_class=" in entry]
    assert len(named) == 2
    for name in named:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_the_seams_are_where_they_are_said_to_be() -> None:
    assert seams.why_untested() == ""
    assert Kernel.class_traits()[seams.EXECUTE_SLEEP].metadata.get("config") is True
    assert callable(getattr(ZMQInteractiveShell, seams.SHOW_TRACEBACK))
    assert ipykernel.ipkernel.__name__ == seams.CANCELLER
    assert callable(getattr(OutStream, seams.WATCH_PIPE))
    of_streams = {*OutStream.__init__.__code__.co_names, *OutStream._setup_stream_redirects.__code__.co_names}
    assert {seams.RAW_PIPE, seams.RAW_COPY} <= of_streams


def test_an_untested_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipykernel, "version_info", (99, 0))
    assert "tested with ipykernel 7" in seams.why_untested()
