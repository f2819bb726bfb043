"""Hosts on one machine: network namespaces on a bridge, each with an address of its own. Needs root and iproute2."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class NoNetwork(Exception):
    """Hosts can't be made here; the text says what is missing."""


class Network:
    """Hosts by name. This machine itself is on the bridge as well, at `here`."""

    def __init__(self) -> None:
        # So that two runs do not meet.
        self._mark = f"mw{os.getpid() % 100_000}"
        self._subnet = f"10.213.{os.getpid() % 254 + 1}"
        self._numbers: dict[str, int] = {}

    @property
    def here(self) -> str:
        return f"{self._subnet}.1"

    def address(self, name: str) -> str:
        return f"{self._subnet}.{self._numbers[name]}"

    def at(self, name: str) -> list[str]:
        """What goes before a command that is to run on that host."""
        return ["ip", "netns", "exec", self._host(name)]

    def cut_off(self, name: str) -> None:
        """Nothing reaches the host, and nothing leaves it. Its connections are not closed: nobody is told."""
        _ip("link", "set", self._port(name), "nomaster")

    def join(self, name: str) -> None:
        _ip("link", "set", self._port(name), "master", self._mark)

    def _host(self, name: str) -> str:
        return f"{self._mark}-{name}"

    def _port(self, name: str) -> str:
        """The end of the host's cable at the bridge."""
        return f"{self._mark}p{self._numbers[name]}"

    @contextmanager
    def _bridge(self) -> Iterator[None]:
        _ip("link", "add", self._mark, "type", "bridge")
        try:
            _ip("address", "add", f"{self.here}/24", "dev", self._mark)
            _ip("link", "set", self._mark, "up")
            yield
        finally:
            _ip("link", "delete", self._mark)

    @contextmanager
    def _plugged_in(self, name: str) -> Iterator[None]:
        host, self._numbers[name] = self._host(name), len(self._numbers) + 2
        _ip("netns", "add", host)
        try:
            _ip("link", "add", self._port(name), "type", "veth", "peer", "name", "eth0", "netns", host)
            _ip("-n", host, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", host, "link", "set", device, "up")
            _ip("link", "set", self._port(name), "up")
            self.join(name)
            yield
        finally:
            _ip("netns", "delete", host)


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """Hosts of these names until the block ends. Raises `NoNetwork`."""
    if os.getuid() != 0 or not shutil.which("ip"):
        raise NoNetwork(
            "This needs root, and the command `ip` (Debian's package iproute2): it makes network namespaces."
        )
    made = Network()
    with ExitStack() as stack:
        try:
            stack.enter_context(made._bridge())  # noqa: SLF001 - of the class above
            for name in names:
                stack.enter_context(made._plugged_in(name))  # noqa: SLF001
        except subprocess.CalledProcessError as error:
            raise NoNetwork(f"No network namespaces can be made here: {error.stderr.strip()}") from None
        yield made


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)  # noqa: S607 - wherever the system has it
