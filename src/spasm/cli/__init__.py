"""What the scripts share: flags, messages, progress, exit codes.

Every script imports this before anything else that is not Python's own, so that it can say what is not installed.
"""

import importlib.util
import sys

OLDEST = (3, 11)
NEEDED = (  # what requirements.txt installs
    "torch", "numpy", "pandas", "sklearn", "optuna", "lightgbm", "joblib", "scipy", "filelock", "safetensors", "PIL",
    "pydantic", "tyro", "tqdm", "matplotlib",
)  # fmt: skip
INSTALL = "python3 -m venv .venv && . .venv/bin/activate && pip install -r requirements.txt"

if sys.version_info < OLDEST:
    sys.exit(
        f"error: this needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and {sys.executable} is Python "
        f"{sys.version_info[0]}.{sys.version_info[1]}. Name a newer one: make demo PYTHON=python3.12"
    )
_missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
if _missing:
    sys.exit(
        f"error: packages of this project are not installed in {sys.executable}: {', '.join(_missing)}. "
        f"Run `make demo` and use .venv/bin/python, or install them: {INSTALL}"
    )
