"""Network namespaces: machines of a simulated internet, on this one.

Nothing of them shows in the network of this machine: cables are laid from namespace to namespace.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

NAMESPACES: Final = Path("/run/netns")
FILES: Final = Path("/etc/netns")
"""`ip netns exec NAME` lays the files of /etc/netns/NAME over those of /etc."""

PREFIX: Final = "relay-lab"

_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_labs = count(1)


class LabError(Exception):
    """The lab cannot be built, in a sentence."""


def requirements() -> None:
    """See that this machine can have network namespaces.

    Raises:
        LabError: with all that is missing.
    """
    programs = {"ip": "iproute2", "nft": "nftables"}
    missing = [f"`{name}` (package {package})" for name, package in programs.items() if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        raise LabError(f"The network lab needs {' and '.join(missing)}; as root, tests/install-peers installs what it needs.")


def fresh_prefix() -> str:
    """What the names of one lab's namespaces begin with: it tells which process they belong to."""
    return f"{PREFIX}-{os.getpid()}-{_started(os.getpid())}-{next(_labs)}"


def remove_leftovers() -> None:
    """Remove the namespaces of processes that were killed before they could."""
    names = {path.name for folder in (NAMESPACES, FILES) if folder.is_dir() for path in folder.glob(f"{PREFIX}-*")}
    for name in names:
        process, started = name.removeprefix(f"{PREFIX}-").split("-")[:2]
        # With the time of its start, since numbers of processes come again.
        if _started(int(process)) != started:
            Namespace(name).delete()


def _started(process: int) -> str | None:
    """When a process started, in clock ticks since this machine did (proc_pid_stat(5), field 22); None: there is none."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return status.rpartition(")")[2].split()[19]


class Namespace:
    """One machine of the lab."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    @contextlib.contextmanager
    def created(cls, name: str) -> Iterator[Self]:
        """A machine with a loopback interface; at the end, whatever runs in it is killed.

        Raises:
            LabError: this machine does not allow it.
        """
        namespace = cls(name)
        try:
            _run(["ip", "netns", "add", name])
            with namespace.entered():
                # The lab has IPv4 only. An IPv6 address, which each new interface gives itself, is tentative for a second or
                # two, and Chromium looks at its interfaces again when all addresses have been at rest for 2 s.
                for which in ("all", "default"):
                    Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
            namespace.ip("link set lo up")
            yield namespace
        finally:
            namespace.delete()

    def delete(self) -> None:
        """Kill what runs in it, and remove it; does nothing if it is gone."""
        if (NAMESPACES / self.name).exists():
            for process in subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)
        shutil.rmtree(FILES / self.name, ignore_errors=True)

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs in this namespace, with the same process id and open files as when run outside."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def ip(self, *commands: str) -> None:
        """Commands of `ip`, in one go: `ip("link set eth0 up", "addr add …")`."""
        _run(["ip", "-netns", self.name, "-batch", "-"], "\n".join(commands))

    def firewall(self, table: str, chains: str) -> None:
        """Put an nftables table (family inet) in place of the one of that name; connections that are known stay known."""
        ruleset = f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n{chains}\n}}\n"
        _run(self.command("nft", "-f", "-"), ruleset)

    def elements(self, table: str, name: str) -> Sequence[Mapping[str, Any]]:
        """Those of a set of an nftables table (family inet), as libnftables-json(5) has them: with what counts them."""
        found = json.loads(_run(self.command("nft", "--json", "list", "set", "inet", table, name)))
        [described] = [one["set"] for one in found["nftables"] if "set" in one]
        return [one["elem"] for one in described.get("elem", ())]

    def forward(self) -> None:
        """Be a router."""
        with self.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def names(self, addresses: dict[str, str]) -> None:
        """Give programs that run here a hosts file, and no DNS server: asking one fails at once."""
        folder = FILES / self.name
        folder.mkdir(parents=True)
        hosts = {"localhost": "127.0.0.1", **addresses}
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts.items()))
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread in the namespace: what it opens meanwhile stays there. Not across an `await`."""
        with Path("/proc/thread-self/ns/net").open() as home, (NAMESPACES / self.name).open() as away:
            _set_namespace(away.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())

    def socket(self, kind: socket.SocketKind, bound: tuple[str, int] | None = None) -> socket.socket:
        """A new IPv4 socket of this machine, which does not block.

        Raises:
            OSError: it cannot be bound to that address.
        """
        with self.entered():
            made = socket.socket(socket.AF_INET, kind)
        try:
            made.setblocking(False)
            if bound:
                made.bind(bound)
        except OSError:
            made.close()
            raise
        return made

    def tcp_ports(self, remote_port: int) -> list[int]:
        """The local ports of established IPv4 TCP connections to that port (proc_net(5))."""
        with self.entered():
            lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        sockets = [line.split()[1:4] for line in lines]
        established = [(local, remote) for local, remote, state in sockets if int(state, 16) == 1]
        ports = [[int(end.rpartition(":")[2], 16) for end in ends] for ends in established]
        return [local for local, remote in ports if remote == remote_port]


def connect(one: Namespace, interface: str, other: Namespace, other_interface: str) -> None:
    """Lay a cable between two machines."""
    _run(["ip", "link", "add", interface, "netns", one.name, "type", "veth", "peer", other_interface, "netns", other.name])
    one.ip(f"link set {interface} up")
    other.ip(f"link set {other_interface} up")


def _set_namespace(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


def _run(command: list[str], text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}\n{text or ''}".strip())
    return done.stdout
