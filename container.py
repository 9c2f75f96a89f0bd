"""The challenge's container contract: segments below /data, answer below /output.

INPUT is the folder of segments, relative to /data. OUTPUT is relative to /output: a path that ends in .csv, or a
folder, in which the answer is then test_data.csv. Absolute paths are taken as they are.

Example: INPUT=test OUTPUT=answers python container.py
"""

import os
import sys
from pathlib import Path

import submission

ROOT = Path(__file__).parent


def arguments(environment: dict[str, str]) -> list[str]:
    """The flags of submission.py for an environment with INPUT and OUTPUT."""
    test = Path("/data") / environment.get("INPUT", "")
    out = Path("/output") / environment.get("OUTPUT", "")
    if out.suffix != ".csv":
        out /= "test_data.csv"
    return ["--test", str(test), "--out", str(out), "--run", str(ROOT / "output/main")]


if __name__ == "__main__":
    flags = [*arguments(dict(os.environ)), *sys.argv[1:]]
    sys.exit(submission.app.run(submission.main, submission.Submission, __doc__, flags))
