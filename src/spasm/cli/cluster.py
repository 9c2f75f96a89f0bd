"""The flag --cluster of scripts."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from spasm.config.fields import SettingsError

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster


def check(where: str, workers: int = 0) -> None:
    """Raises SettingsError, before anything is read, for a --cluster that cannot be used."""
    if not where:
        return
    from spasm.cluster import connection

    if workers:
        raise SettingsError(
            f"--workers {workers} has no effect with --cluster, whose workers say how many tasks they run"
        )
    connection.check(where)


@contextlib.contextmanager
def opened(where: str, packages: Sequence[str] = ()) -> "Iterator[Cluster | None]":
    """The cluster that --cluster names, after printing where its dashboard is; None without the flag.

    packages: see `connection.connected`.
    """
    if not where:
        yield None
        return
    from spasm.cluster.connection import connected

    with connected(where, packages) as (cluster, lines):
        for line in lines:
            print(line, file=sys.stderr if line.startswith("warning") else sys.stdout, flush=True)
        yield cluster
