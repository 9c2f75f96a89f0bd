"""The Jinja2 templates of this package: the page and the model card."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spasm.config.fields import SettingsError

FOLDER = Path(__file__).parent


def check() -> None:
    """Raises SettingsError where no report can be written."""
    if importlib.util.find_spec("jinja2") is None:
        raise SettingsError("a report needs Jinja2: pip install -r requirements-report.txt, or --no-report")


def render(name: str, context: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None) -> str:
    """A template of this folder, filled in; an .html one escapes what comes from `context`.

    Raises SettingsError where Jinja2 is not installed, which only reports need.
    """
    check()
    import jinja2  # here and not above, because only reports need it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters.update(filters or {})
    return environment.get_template(name).render(context)


def read_asset(name: str) -> str:
    """A script or style sheet of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
