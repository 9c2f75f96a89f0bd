"""Connect to a cluster, or start one on this machine.

Dask pickles what it sends, so who reaches a scheduler can run code on its workers: what is started here listens on this
machine only, and for a scheduler without TLS there is a warning.
"""

import contextlib
import functools
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spasm.cluster import on_worker
from spasm.config.fields import SettingsError
from spasm.core.errors import ClusterError, DataError, printable
from spasm.core.files import open_regular
from spasm.core.versions import PACKAGES, version_of

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

INSTALL = "--cluster needs Dask: pip install -r requirements-cluster.txt"
START = "start it with `dask scheduler` and `dask worker ADDRESS`, see docs/cluster.md"
NO_TLS = (
    "the scheduler at {} has no TLS: who reaches that port can read the data and run code on the workers. Use it in a "
    "network that you trust, or see docs/cluster.md"
)
CERTIFICATES = "{} needs certificates ({}); name them in Dask's configuration, see docs/cluster.md"
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "bokeh", "tornado", "tornado.application", "asyncio")


def check(where: str) -> None:
    """Raises SettingsError if this is no cluster, or Dask is not installed."""
    if not re.fullmatch(r"local:[1-9]\d{0,2}|(tcp|tls)://\S+:\d+|.+\.json", where):
        raise SettingsError(
            f"--cluster {where!r} is none of local:N (N processes here), tcp://HOST:PORT or tls://HOST:PORT of a "
            "scheduler, and FILE.json that a scheduler wrote"
        )
    if os.name == "nt":
        raise SettingsError("--cluster does not run on Windows: leave it out, or run this command in WSL")
    try:
        import distributed  # noqa: F401 - here and below, because it is optional
    except ImportError as error:
        raise SettingsError(INSTALL) from error


@contextlib.contextmanager
def connected(where: str, packages: Sequence[str] = ()) -> Iterator[tuple["Cluster", list[str]]]:
    """A cluster, and lines to print: where its dashboard is, and a warning for one without TLS.

    where: local:N, an address or a scheduler's file, see `check`. packages: those that the tasks need beside those that
    every run notes. Raises ClusterError if there is no scheduler, or a worker has other versions than this command.
    """
    check(where)
    import dask
    import distributed

    from spasm.cluster.tasks import WAIT_S, Cluster

    for name in LOGGERS:  # what went wrong is reported in this command's own words
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="distributed")
    needed = {"python": on_worker.python_version()}
    needed |= {name: version_of(name) for name in ("distributed", *PACKAGES, *packages)}
    with contextlib.ExitStack() as stack:
        quiet = {"distributed.admin.large-graph-warning-threshold": "1GB", "distributed.worker.profile.enabled": False}
        stack.enter_context(dask.config.set(quiet))  # the profiler of a worker in this process takes 2 % of a core
        lines = []
        try:
            if where.startswith("local:"):
                client = distributed.Client(stack.enter_context(_local(int(where.removeprefix("local:")))))
                lines.append(f"dashboard: http://127.0.0.1:{client.scheduler_info()['services']['dashboard']}/status")
            else:
                address = where if "://" in where else address_of(Path(where))
                client = distributed.Client(address, timeout=WAIT_S)
                served = "dashboard" in client.scheduler_info()["services"]
                lines.append(f"dashboard: {client.dashboard_link if served else 'none, the scheduler serves no page'}")
                if not address.startswith("tls://"):
                    lines.append("warning: " + NO_TLS.format(address))
            stack.enter_context(client)
            client.wait_for_workers(1, timeout=WAIT_S)
        except (OSError, TimeoutError) as error:
            reason = f"no scheduler with a worker was found in {WAIT_S} s ({error})"
            raise ClusterError(f"{printable(where)}: {reason}; {START}") from error
        except (TypeError, RuntimeError, ValueError) as error:
            if "tls" not in where:
                raise
            raise SettingsError(CERTIFICATES.format(where, error)) from error
        check_versions(client, needed)
        cluster = Cluster(client, needed, functools.partial(check_versions, client, needed))
        stack.callback(cluster.close)
        yield cluster, lines


def _local(processes: int) -> Any:
    """A scheduler and a worker within this process; their tasks are processes."""
    import distributed

    return distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=processes,
        processes=False,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",  # or its web server would listen on all networks
        memory_limit=0,
        silence_logs=logging.CRITICAL + 1,
    )


def check_versions(client: Any, needed: dict[str, str]) -> None:
    """Raises ClusterError for the workers of a cluster that cannot run this command's tasks."""
    from spasm.cluster.task_process import unlike
    from spasm.cluster.tasks import ByValue

    # First Python's own, because no function can be sent to another one.
    found = client.get_versions()
    hosts = {"the scheduler": found["scheduler"]} | {f"worker {name}": of for name, of in found["workers"].items()}
    for name, about in hosts.items():
        python = ".".join(dict(about["host"])["python"].split(".")[:2])
        if python != needed["python"]:
            raise ClusterError(unlike(name, [f"python is {python} there and {needed['python']} here"]))
        if dict(about["host"])["OS"] == "Windows":
            raise ClusterError(f"{name} runs on Windows, where tasks cannot run: start it in WSL or on Linux")
    for name, differing in client.run(ByValue(on_worker.differences), needed).items():
        if differing:
            raise ClusterError(unlike(f"worker {name}", differing))


def address_of(path: Path) -> str:
    """The address in the file of a scheduler (`dask scheduler --scheduler-file`)."""
    hint = "name the file that `dask scheduler --scheduler-file` writes, on a disk that this machine sees"
    with open_regular(path) as (file, _):
        try:
            address = json.loads(file.read())["address"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(path, "is no scheduler's file", hint) from error
    if not isinstance(address, str) or not re.fullmatch(r"(tcp|tls)://\S+:\d+", address):
        raise DataError(path, "is no scheduler's file", hint)
    return address
