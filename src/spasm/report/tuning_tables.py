"""What a search for settings found, as text for a terminal."""

from typing import Any

from spasm.evaluation.metrics import ROWS
from spasm.models.model import Model
from spasm.report import console
from spasm.tuning import spaces


def result_table(found: dict[str, Any], model: Model) -> str:
    """Best and default of one study, and which settings differ; found: as `tuning.search.result` gives it."""
    counts = ", ".join(f"{count} {state}" for state, count in found["trials"].items())
    lines = ["", f"study {found['study']}: {counts}; {found['model']} on {found['children']} children"]
    lines.append(f"{'':22}{'log loss':>10}{'F1':>8}{'AUC':>8}")
    for name in ("best", "default"):
        trial = found[name]
        if trial is not None:
            cells = ["n/a" if trial[key] is None else f"{trial[key]:.3f}" for key in ("f1", "auc")]
            lines.append(f"{name} (trial {trial['trial']})".ljust(22) + f"{trial['log_loss']:10.3f}")
            lines[-1] += "".join(f"{cell:>8}" for cell in cells)
    default = spaces.default_values(model)
    best = found["best"]["values"]
    width = max(map(len, best), default=0)
    for name, value in best.items():
        lines.append(f"  --{name.replace('_', '-'):{width}} {_shown(value):>10}   default {_shown(default[name])}")
    lines.append("The best score is optimistic: the settings were chosen by it. Evaluate the search with --nested.")
    if found["simulated"]:
        lines.append(console.SIMULATED)
    return "\n".join(lines)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def nested_table(metrics: dict[str, Any], simulated: bool) -> str:
    """Tuned beside default settings, on children that search, training and threshold never saw."""
    lines = ["", "each fold predicted with settings chosen without its children; 95 % intervals over children"]
    lines.append(f"{'':19}{'tuned':>26}{'default':>26}{'tuned minus default':>28}")
    for key, name in {**dict(ROWS), "log_loss": "log loss"}.items():
        if key not in metrics["tuned_minus_default"]:
            continue
        cells = [_interval(metrics[part][key]) for part in ("tuned", "default", "tuned_minus_default")]
        lines.append(f"{name:19}{cells[0]:>26}{cells[1]:>26}{cells[2]:>28}")
    if simulated:
        lines.append(console.SIMULATED)
    return "\n".join(lines)


def _interval(metric: dict[str, float | None]) -> str:
    if None in metric.values():
        return "n/a"
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"
