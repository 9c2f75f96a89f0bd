"""Settings of a search for better settings."""

from pathlib import Path
from typing import Annotated

from spasm.config.fields import ADVANCED, Identifier, Seed, Shown, settings, within


@settings
class Study:
    """What is searched, where its trials are kept, and where the result goes."""

    study: Identifier = "main"
    """Name of the study; the same name continues it."""
    storage: Annotated[str, Shown(value="FILE|URL", default="output/studies/STUDY.journal")] = ""
    """Where trials are kept: a journal file, or the URL of a database, such as sqlite:///output/studies.db or
    postgresql+psycopg://user@host/name, which several machines may share."""
    trials: Annotated[int, within(1, 1_000_000)] = 50
    """Finished trials in each study."""
    seed: Seed = 0
    """Seed of every training and of the search."""
    outer_fold: Annotated[int | None, within(0, 99), ADVANCED] = None
    """Search on the children outside this fold only, scored on the other folds."""
    nested: bool = False
    """Search without each fold in turn, and evaluate the chosen settings and the defaults on that fold's children."""
    out: Annotated[Path | None, Shown(default="output/studies/STUDY.json")] = None
    """Result to write. With --outer-fold the default is STUDY_outer_F.json, with --nested STUDY_nested.json."""
