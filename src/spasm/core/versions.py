"""Versions of the packages that results depend on."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "lightgbm", "joblib", "safetensors")


def version_of(name: str) -> str:
    """The version of an installed package; "missing" if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
