"""Settings of a search for better settings."""

from pathlib import Path
from typing import Annotated

from spasm.config.fields import Identifier, Seed, settings, within


@settings
class Study:
    """What is searched, where its trials are kept, and where the result goes."""

    study: Identifier = "main"
    """Name of the study; the same name continues it."""
    storage: str = ""
    """Where trials are kept: a journal file, by default output/studies/STUDY.journal, or the URL of a database, such as
    sqlite:///output/studies.db or postgresql+psycopg://user@host/name, which several machines may share."""
    trials: Annotated[int, within(1, 1_000_000)] = 50
    """Finished trials that each study shall have."""
    seed: Seed = 0
    """Seed of every training and of the search."""
    outer_fold: Annotated[int | None, within(0, 99)] = None
    """Search on the children outside this fold only, scored on the other folds."""
    nested: bool = False
    """Search without each fold in turn, and evaluate what was chosen, and the defaults, on the children of that
    fold."""
    out: Path | None = None
    """Result to write; by default output/studies/STUDY.json, or STUDY_outer_F.json, or STUDY_nested.json."""
