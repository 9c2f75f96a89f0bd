"""What a search for settings found, as text for a terminal."""

from typing import Any

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
            lines.append(f"{name} (trial {trial['trial']})".ljust(22) + f"{trial['log_loss']:10.4f}")
            lines[-1] += "".join(f"{cell:>8}" for cell in cells)
    default = spaces.default_values(model)
    for name, value in found["best"]["values"].items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append(f"  --{name.replace('_', '-'):20}{shown:>10}   default {default[name]}")
    lines.append("The best score is optimistic, for it chose the settings; --nested evaluates the search honestly.")
    if found["simulated"]:
        lines.append(console.SIMULATED)
    return "\n".join(lines)


def nested_table(metrics: dict[str, Any], simulated: bool) -> str:
    """Tuned beside default, on children whom neither the search nor the training nor the threshold ever saw."""
    lines = ["", "children of every fold predicted by what was chosen without them; 95 % intervals over children"]
    lines.append(f"{'':10}{'tuned':>26}{'default':>26}{'tuned minus default':>28}")
    for key, name in (("f1", "F1"), ("auc", "AUC"), ("brier", "Brier"), ("log_loss", "log loss")):
        cells = [_interval(metrics[part][key]) for part in ("tuned", "default", "tuned_minus_default")]
        lines.append(f"{name:10}{cells[0]:>26}{cells[1]:>26}{cells[2]:>28}")
    if simulated:
        lines.append(console.SIMULATED)
    return "\n".join(lines)


def _interval(metric: dict[str, float | None]) -> str:
    if None in metric.values():
        return "n/a"
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"
