"""What checks of the simulation found, as text for a terminal."""

from spasm.simulation.difficulty import CohortMetrics
from spasm.simulation.realism import BABYJOKES, SPEEDS


def noise_table(simulated: dict[str, float], real: dict[str, float] | None) -> str:
    """The noise of simulated windows beside that of real ones, by default those that the bounds come from."""
    source = "InfantLab/babyjokes" if real is None else "the given windows"
    real = {name: row.real for name, row in BABYJOKES.items()} if real is None else real
    lines = [f"{'noise, recorded at a table':42} {'real':>9} {'simulated':>9} {'bounds':>17}   (real: {source})"]
    for name, row in BABYJOKES.items():
        outside = "" if row.low <= simulated[name] <= row.high else "  outside"
        lines.append(f"{name:42} {real[name]:9.4g} {simulated[name]:9.4g} {row.low:8.4g}-{row.high:.4g}{outside}")
    return "\n".join(lines)


def speed_table(table: dict[str, float], home: dict[str, float], real: dict[str, float] | None) -> str:
    """Speeds of resting simulated children at a table and at home, beside those of real windows at a table."""
    real = {name: row.real for name, row in SPEEDS.items()} if real is None else real
    head = f"{'trunk lengths per second':32} {'real':>9} {'at a table':>11} {'bounds':>15} {'at home':>9}"
    lines = [f"{head}   (simulated negatives that rest, sleep or are active)"]
    for name, row in SPEEDS.items():
        outside = "" if row.low <= table[name] <= row.high else "  outside"
        bounds = f"{row.low:.3g}-{row.high:.3g}"
        lines.append(f"{name:32} {real[name]:9.3f} {table[name]:11.3f} {bounds:>15} {home[name]:9.3f}{outside}")
    return "\n".join(lines)


def cohort_table(rows: dict[str, CohortMetrics]) -> str:
    """How much a classifier gains where the cohorts were recorded differently, by camera setup."""
    lines = [
        f"{'cohorts':20} {'F1, all':>10} {'F1, patients':>14} {'AUC, all':>10} {'AUC within a patient, mean':>28}",
        "(F1 of all children at the patients' prevalence)",
    ]
    lines += [
        f"{name:20} {row.f1:10.3f} {row.f1_patients:14.3f} {row.auc:10.3f} {row.auc_within:28.3f}"
        for name, row in rows.items()
    ]
    return "\n".join(lines)
