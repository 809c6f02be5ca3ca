"""Launchers: found by the name that a package registers, or as a class of a module."""

from __future__ import annotations

import pytest

from nbcluster.errors import LauncherError
from nbcluster.launchers.base import Host, load_launcher
from nbcluster.launchers.local import LocalLauncher
from nbcluster.testing.hosts import OTHER_HOSTS, WHERE, OtherHosts


class Silent:
    """A supervisor that is told nothing here."""

    def subscribe(self, report: object) -> None: ...

    def send(self, order: object) -> None: ...


def test_a_launcher_is_found_by_its_name_and_by_its_class() -> None:
    assert load_launcher("local") is LocalLauncher
    assert load_launcher(OTHER_HOSTS) is OtherHosts


@pytest.mark.parametrize(
    "name", ["nowhere", "nbcluster.no_module:Launcher", "nbcluster.launchers.local:Missing"]
)
def test_one_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(LauncherError, match=name):
        load_launcher(name)


def test_hosts_of_tests_are_addresses_or_namespaces() -> None:
    launcher = OtherHosts(Silent(), print)
    assert launcher.choose_host("e7", {WHERE: "127.0.0.2"}) == Host("127.0.0.2", is_here=False)
    host = launcher.choose_host("e7", {WHERE: "left 10.0.0.2"})
    assert (host.address, host.is_here, len(set(host.ports))) == ("10.0.0.2", False, 5)
    assert not set(host.ports) & set(launcher.choose_host("e8", {WHERE: "left 10.0.0.2"}).ports)
