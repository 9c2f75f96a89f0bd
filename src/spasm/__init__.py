"""Recognising infantile epileptic spasms from pose: `spasm.load(run).predict(poses)`. Not a medical device."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spasm.inference.trained_run import TrainedRun

__all__ = ["load"]


def load(run: "str | Path") -> "TrainedRun":
    """Open a trained run. Raises `spasm.core.errors.DataError` where it is not whole.

    A script that calls its `predict` needs `if __name__ == "__main__":`, since the models work in new processes.
    """
    from spasm.inference.trained_run import TrainedRun  # here, so that `import spasm` is light

    return TrainedRun(Path(run))
