"""Connect to a cluster, or start one on this machine.

Dask pickles what it sends, so who reaches a scheduler can run code on its workers: what is started here listens on this
machine only, and for a scheduler without TLS there is a warning.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from spasm.config.fields import SettingsError
from spasm.core.errors import DataError, TrainingError, printable
from spasm.core.files import open_regular

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

INSTALL = "--cluster needs Dask: pip install -r requirements-cluster.txt"
WAIT_S = 60  # for a scheduler, and for its first worker
NO_TLS = (
    "the scheduler at {} has no TLS: whoever reaches that port can read the data and run code on the workers. Use it in a "
    "network that you trust, or see docs/cluster.md"
)


def check(where: str) -> None:
    """Raises SettingsError if this is no cluster, or Dask is not installed."""
    if not re.fullmatch(r"local:[1-9]\d{0,2}|(tcp|tls)://\S+:\d+|.+\.json", where):
        raise SettingsError(
            f"--cluster {where!r} is none of local:N (N processes here), tcp://HOST:PORT or tls://HOST:PORT of a "
            "scheduler, and FILE.json that a scheduler wrote"
        )
    try:
        import distributed  # noqa: F401 - here and below, because it is optional
    except ImportError as error:
        raise SettingsError(INSTALL) from error


@contextlib.contextmanager
def connected(where: str) -> Iterator[tuple["Cluster", list[str]]]:
    """A cluster, and lines to print: where its dashboard is, and a warning for one without TLS.

    where: local:N, an address or a scheduler's file, see `check`. Raises TrainingError if there is no scheduler.
    """
    check(where)
    import dask
    import distributed

    from spasm.cluster.tasks import Cluster

    with contextlib.ExitStack() as stack:
        # Large arguments are sent on purpose, in parts.
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}))
        warnings = []
        try:
            if where.startswith("local:"):
                cluster = distributed.LocalCluster(
                    n_workers=int(where.removeprefix("local:")),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=50,
                )
                client = distributed.Client(stack.enter_context(cluster))
            else:
                address = where if "://" in where else address_of(Path(where))
                client = distributed.Client(address, timeout=WAIT_S)
                if not address.startswith("tls://"):
                    warnings.append("warning: " + NO_TLS.format(address))
            stack.enter_context(client)
            client.wait_for_workers(1, timeout=WAIT_S)
        except (OSError, TimeoutError) as error:
            hint = "start it with `dask scheduler` and `dask worker ADDRESS`, see docs/cluster.md"
            raise TrainingError(
                f"{printable(where)}: no scheduler with a worker was found ({error}); {hint}"
            ) from error
        yield Cluster(client), [f"dashboard: {client.dashboard_link}", *warnings]


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
