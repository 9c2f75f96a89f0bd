"""Blend a run's trained members into one decision, and judge it on children that nothing was chosen on.

Example: python src/blend.py --run output/main
"""

import shlex
import sys
from pathlib import Path

import command_line
from spasm import report_text, runs
from spasm.dataset import load_training
from spasm.errors import DataError
from spasm.outcome import complete_logits, rebuild
from spasm.settings import BlendMembers, SettingsError


def main(settings: BlendMembers) -> int:
    if not (settings.run / "run.json").exists():
        raise DataError(settings.run, "holds no run", f"train first: python src/train_folds.py --run {settings.run}")
    made = runs.read_run(settings.run)
    data_path = settings.data or Path(made["data"]["path"])
    data = load_training(data_path, made["frames"], "safe", settings.cache, command_line.reading)
    run = runs.reopen_run(settings.run, data)
    trained = tuple(complete_logits(run))
    if not trained:
        raise DataError(settings.run, "has no member with all its folds trained", "finish the training first")
    for name in settings.members:
        if name not in trained:
            raise SettingsError(f"--members {name} is not trained in {settings.run}; there are {', '.join(trained)}")
    result = rebuild(run, settings.blend, settings.members or trained)
    assert result is not None  # a member is complete
    print(report_text.data_summary(data))
    print(report_text.members_table(result))
    print(report_text.metrics_table(result))
    print("written:", ", ".join(str(run.path / name) for name in ("metrics.json", "decision.json", "oof.csv")))
    print(
        f"next:    python submission.py {shlex.join(['--run', str(settings.run), '--test', str(data_path / 'test')])}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(command_line.run(main, BlendMembers, __doc__))
