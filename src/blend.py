"""Blend a run's trained members into one decision, and judge it on children that nothing was chosen on.

Example: python src/blend.py --run output/main
"""

import dataclasses
import shlex
import sys
from pathlib import Path

from spasm.cli import app, progress
from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError
from spasm.config.runtime import RunData
from spasm.core.errors import DataError
from spasm.data.dataset import load_training
from spasm.report import console
from spasm.runs.run import read_run, reopen_run
from spasm.runs.summarize import complete_logits, rebuild


@dataclasses.dataclass(frozen=True)
class BlendMembers(RunData):
    """Flags of blend.py."""

    run: Path = Path("output/main")
    """Run folder whose trained members are blended."""
    members: tuple[str, ...] = ()
    """Members to blend; all that are trained, if none is named."""
    blend: Blend = Blend()


def main(settings: BlendMembers) -> int:
    if not (settings.run / "run.json").exists():
        raise DataError(settings.run, "holds no run", f"train first: python src/train_folds.py --run {settings.run}")
    made = read_run(settings.run)
    data_path = settings.data or Path(made["data"]["path"])
    data = load_training(data_path, made["frames"], "safe", settings.cache, progress.reading)
    run = reopen_run(settings.run, data)
    trained = tuple(complete_logits(run))
    if not trained:
        raise DataError(settings.run, "has no member with all its folds trained", "finish the training first")
    for name in settings.members:
        if name not in trained:
            raise SettingsError(f"--members {name} is not trained in {settings.run}; there are {', '.join(trained)}")
    result = rebuild(run, settings.blend, settings.members or trained)
    assert result is not None  # a member is complete
    print(console.data_summary(data))
    print(console.members_table(result))
    print(console.metrics_table(result))
    print("written:", ", ".join(str(run.path / name) for name in ("metrics.json", "decision.json", "oof.csv")))
    print(
        f"next:    python submission.py {shlex.join(['--run', str(settings.run), '--test', str(data_path / 'test')])}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, BlendMembers, __doc__))
