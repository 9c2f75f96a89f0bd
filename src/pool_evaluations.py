"""Pool the evaluations of several sites: random-effects means with forest plots, from what evaluate.py let leave.

Examples:
  python src/pool_evaluations.py site_a/evaluation.json site_b/evaluation.json
  python src/pool_evaluations.py a.json b.json c.json --out output/pooled --different-runs
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app
from spasm.config.fields import POSITIONAL, SettingsError, settings
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.outputs import check_folder, check_replaceable
from spasm.report import console, pooled, templates
from spasm.report.pooled import Site
from spasm.runs.evaluations import read_evaluation


@settings
class PoolEvaluations:
    """Flags of pool_evaluations.py."""

    evaluations: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """The evaluation.json of each site, two or more."""
    out: Path = Path("output/pooled")
    """Folder to write."""
    different_runs: bool = False
    """Pool the first run of each file, although these are not the same."""


def main(settings: PoolEvaluations) -> int:
    paths, out = settings.evaluations, settings.out
    if len(paths) < 2:
        raise SettingsError("name the evaluation.json of two sites or more")
    templates.check()
    check_folder(out)
    check_replaceable(out / "pooled.json", b'{\n  "kind": "pooled"', "a pooled evaluation")
    files.check_writable(out)
    files.remove_stale(out)
    sites = [Site(name, read_evaluation(path)) for name, path in zip(names_of(paths), paths, strict=True)]
    warnings = pooled.check(sites, paths, settings.different_runs)
    app.warn(warnings)
    metrics = pooled.pooled_metrics(sites, settings.different_runs)
    if not metrics:
        raise SettingsError("no metric is given out by two of these sites; see what each evaluation.json suppresses")
    rows = [[one.row[column] for column in pooled.COLUMNS] for one in metrics]
    files.write_csv(out / "pooled.csv", pooled.COLUMNS, rows, files.TABLE_DIGITS)
    files.write_json(out / "pooled.json", pooled.as_tree(sites, metrics))
    files.write_text(out / "pooled.html", pooled.page(sites, metrics, warnings))
    if any(site.evaluation.simulated for site in sites):
        print(console.SIMULATED)
    print(pooled.table(metrics))
    print(f"written: {out}/pooled.csv, pooled.json and pooled.html")
    return 0


def names_of(paths: tuple[Path, ...]) -> list[str]:
    """A name for each site: of its file or, where all are called evaluation.json, of its folder."""
    names = [printable(path.absolute().parent.name if path.stem == "evaluation" else path.stem) for path in paths]
    return names if len(set(names)) == len(names) else [f"site {number}" for number in range(1, len(paths) + 1)]


if __name__ == "__main__":
    sys.exit(app.run(main, PoolEvaluations, __doc__))
