"""A scheduler and workers of Dask as processes, also on machines of their own: network namespaces without this disk."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from helpers.processes import wait_until

NO_ROOT = "needs root and network namespaces"
LISTENING = "0A"  # state of a socket in /proc/net/tcp
_numbers = itertools.count(os.getpid() * 100 % 50_000)


class Processes:
    """A scheduler and its workers, all ended at the end of `with`."""

    def __init__(self, folder: Path, tls: Sequence[str] = ()) -> None:
        """folder: for the files of the processes. tls: flags of both, see `tls_flags`."""
        self.folder, self.tls, self.started = folder, list(tls), []  # type: ignore[var-annotated]
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.kill()
        for process in self.started:
            process.wait()

    def scheduler(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Start a scheduler; its address. With the port of one that was killed, it takes its place."""
        port = port or free_port(host)
        protocol = "tls" if self.tls else "tcp"
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        flags = f"--host {host} --port {port} --protocol {protocol} --no-dashboard --scheduler-file {file}".split()
        self._start("scheduler", *flags, *self.tls)
        wait_until(file.exists)
        return f"{protocol}://{host}:{port}"

    def worker(
        self, address: str, prefix: Sequence[str] = (), hidden: Sequence[Path] = (), threads: int = 1
    ) -> "subprocess.Popen[bytes]":
        """Start a worker. prefix: words before its command, see `machine`; hidden: folders that it does not see."""
        number = len(self.started)
        words = [*prefix, *without(hidden)]
        flags = f"--no-nanny --no-dashboard --nthreads {threads} --memory-limit 0 --name worker-{number}".split()
        place = self.folder / f"worker-{number}"
        return self._start("worker", address, *flags, "--local-directory", str(place), *self.tls, prefix=words)

    def _start(self, *words: str, prefix: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        log = self.folder / f"{words[0]}-{len(self.started)}.log"
        command = [*prefix, sys.executable, "-m", "dask", *words]
        with open(log, "wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder)
        self.started.append(process)
        return process

    def logs(self) -> str:
        """What all processes have printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that no program listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def without(hidden: Sequence[Path]) -> list[str]:
    """Words before a command whose process finds empty folders at these paths, as on a machine without this disk."""
    if not hidden:
        return []
    mounts = "".join(f"mount -t tmpfs none '{folder}' && " for folder in hidden)
    return ["unshare", "-m", "sh", "-c", f'{mounts}exec "$@"', "sh"]


class Network:
    """Machines with a network of their own, joined by a switch to this one."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.switch, self.subnet = f"sw{self.number}", f"10.{self.number // 200 % 200 + 20}.{self.number % 200}"
        self.here, self.machines = f"{self.subnet}.1", 0

    def __enter__(self) -> "Network":
        self._ip(f"link add {self.switch} type bridge")
        self._ip(f"addr add {self.here}/24 dev {self.switch}")
        self._ip(f"link set {self.switch} up")
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(1, self.machines + 1):
            with contextlib.suppress(subprocess.CalledProcessError):
                self._ip(f"netns del m{self.number}-{number}")
        self._ip(f"link del {self.switch}")

    def machine(self, rate: str = "") -> list[str]:
        """Add a machine; the words before a command that runs on it. rate: of its link, such as 50mbit."""
        self.machines += 1
        name, inner, outer = (f"{kind}{self.number}-{self.machines}" for kind in "mio")
        self._ip(f"netns add {name}")
        self._ip(f"link add {outer} type veth peer name {inner}")
        self._ip(f"link set {inner} netns {name}")
        self._ip(f"link set {outer} master {self.switch} up")
        inside = f"netns exec {name}"
        self._ip(f"{inside} ip link set lo up")
        self._ip(f"{inside} ip addr add {self.subnet}.{self.machines + 1}/24 dev {inner}")
        self._ip(f"{inside} ip link set {inner} up")
        if rate:
            slow = f"root tbf rate {rate} burst 64kb latency 400ms"
            self._ip(f"{inside} tc qdisc add dev {inner} {slow}")
            subprocess.run(["tc", *f"qdisc add dev {outer} {slow}".split()], check=True, capture_output=True)
        return ["ip", *inside.split()]

    def received(self) -> int:
        """Bytes that the machines have received so far."""
        devices = (f"/sys/class/net/o{self.number}-{number}" for number in range(1, self.machines + 1))
        return sum(int(Path(device, "statistics/tx_bytes").read_text()) for device in devices)

    def _ip(self, words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A `Network`; skips the test where this machine allows none."""
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip(NO_ROOT)
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(Network())
            subprocess.run([*made.machine(), *without([Path("/mnt")]), "true"], check=True, capture_output=True)
        except subprocess.CalledProcessError:
            pytest.skip(NO_ROOT)
        yield made


def certificates(folder: Path) -> dict[str, Path]:
    """A certificate authority's file `ca`, and `cert` and `key` that it has signed; skips the test without openssl."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder.mkdir(parents=True, exist_ok=True)
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=cluster -keyout key.pem -out request.pem",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}


def tls_flags(certificates: dict[str, Path]) -> list[str]:
    """The flags of a scheduler and of a worker with these certificates."""
    names = {"--tls-ca-file": "ca", "--tls-cert": "cert", "--tls-key": "key"}
    return [str(word) for flag, name in names.items() for word in (flag, certificates[name])]


def tls_environment(certificates: dict[str, Path]) -> dict[str, str]:
    """Dask's configuration of a command that connects with these certificates."""
    begin = "DASK_DISTRIBUTED__COMM__TLS__"
    whose = {f"{begin}CLIENT__{name.upper()}": certificates[name] for name in ("cert", "key")}
    return {name: str(path) for name, path in {f"{begin}CA_FILE": certificates["ca"], **whose}.items()}


def listening(processes: Sequence[int]) -> set[str]:
    """The addresses at which these processes listen for connections, such as 127.0.0.1, and :: for all."""
    sockets = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(descriptor))
    found = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            place, state, inode = (line.split()[column] for column in (1, 3, 9))
            if state == LISTENING and f"socket:[{inode}]" in sockets:
                raw = bytes.fromhex(place.split(":")[0])
                words = [raw[start : start + 4][::-1] for start in range(0, len(raw), 4)]
                found.add(socket.inet_ntop(family, b"".join(words)))
    return found
