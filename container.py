"""The challenge's container contract: segments below /data, the predicted labels below /output.

INPUT is the folder of segments, relative to /data. OUTPUT is relative to /output: a path that ends in .csv, or a
folder, in which test_data.csv is then written. Absolute paths stay as they are.

Examples:
  INPUT=test OUTPUT=predictions python container.py
  INPUT=$PWD/input/demo/test OUTPUT=$PWD/output/container python container.py --run output/demo
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
