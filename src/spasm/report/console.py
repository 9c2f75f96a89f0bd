"""What a run found, as text for a terminal."""

from typing import Any

from spasm.core.errors import printable
from spasm.data.dataset import TrainingData
from spasm.evaluation.metrics import ROWS

SIMULATED = "SIMULATED DATA: these figures say nothing about children."


def data_summary(data: TrainingData) -> str:
    """One line on the data, after one on what was converted, and a warning where it is simulated."""
    line = (
        f"{len(data.names)} segments of {len(set(data.children))} children, {data.labels.mean():.1%} positive, "
        f"{(~data.has_pose).sum()} without any pose, T = {data.poses.shape[1]}"
    )
    lines = [data.notice, line, SIMULATED if data.simulated else ""]
    return "\n".join(line for line in lines if line)


def data_name(data: dict[str, Any]) -> str:
    """What a run was trained on, from its run.json."""
    name = f"{data['segments']} segments of {data['children']} children, {printable(data['path'])}"
    return f"{name} (SIMULATED: no answer says anything about a real child)" if data["simulated"] else name


def members_table(result: dict[str, Any]) -> str:
    """Each member alone beside the blend, and the blend with and without the child's other segments."""
    rows = {name: figures for name, figures in result["each_member"].items()}
    rows["blend, each segment alone"] = result["child_context"]["without"]
    rows["blend, with child context"] = result["child_context"]["with"]
    lines = ["", f"{'cross-fitted':34}{'F1':>7}   95 % interval     {'AUC':>7}{'Brier':>8}"]
    for name, figures in rows.items():
        low, high = number(figures["f1"]["low"]), number(figures["f1"]["high"])
        lines.append(
            f"{name:34}{number(figures['f1']['value'])}   {low} to {high}"
            f"{number(figures['auc']['value'])} {number(figures['brier']['value'])}"
        )
    return "\n".join(lines)


def metrics_table(result: dict[str, Any]) -> str:
    """The headline figures of metrics.json, with their intervals."""
    members = ", ".join(f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in result["members"].items())
    title = f"{members}: every child scored by a fold that never saw it, all choices cross-fitted"
    lines = [figures_table(result["cross_fitted"], title)]
    plain = result["pooled_threshold"]
    lines.append(
        f"{'F1 at one threshold for all':34}{number(plain['f1']['value'])}   optimistic: chosen on the same rows"
    )
    lines.append(f"threshold for new children: {result['threshold']:.4f}")
    if result["data"]["simulated"]:
        lines.append(SIMULATED)
    return "\n".join([*lines, ""])


def figures_table(figures: dict[str, Any], title: str) -> str:
    """Every figure of `metrics.evaluate` with its interval."""
    lines = ["", title, f"{'':34}{'value':>7}   95 % interval over children"]
    for key, name in ROWS:
        figure = figures[key]
        lines.append(f"{name:34}{number(figure['value'])}   {number(figure['low'])} to {number(figure['high'])}")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """A figure in seven columns."""
    return "    n/a" if value is None else f"{value:7.3f}"
