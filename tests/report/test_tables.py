"""Printed tables: columns that are aligned, at most four digits, and no line of a table above 120 characters."""

import re

import pytest

from spasm.evaluation.bootstrap import Estimate
from spasm.evaluation.corruptions import TRIED
from spasm.evaluation.metrics import ROWS
from spasm.inference.event_evaluation import EventEvaluation
from spasm.models.registry import MODELS
from spasm.report import comparison, console, realism_text, timeline_text, tuning_tables
from spasm.report.robustness_plot import robustness_table
from spasm.runs.artefacts import Metric
from spasm.simulation.difficulty import CohortMetrics
from spasm.simulation.realism import BABYJOKES
from spasm.tuning import spaces

NUMBER = re.compile(r"(?<![\w.])[+-]?\d+\.\d+(?![\w.])")


def columns_of(lines: list[str]) -> set[tuple[int, ...]]:
    """Where the numbers of each line end."""
    return {tuple(found.end() for found in NUMBER.finditer(line)) for line in lines}


def digits_of(lines: list[str]) -> int:
    """The most digits, without leading zeros, of a number with a point."""
    found = [number.lstrip("+-").replace(".", "").lstrip("0") for line in lines for number in NUMBER.findall(line)]
    return max(map(len, found))


def estimate(value: float) -> Estimate:
    return {"value": value, "low": value / 3, "high": value * 1.5}


def test_metrics_of_events_stay_in_their_columns_whatever_their_names():
    of_events = {"event_f1": estimate(1 / 3), "false_alarms_per_hour": estimate(70.0)}
    evaluation = EventEvaluation(
        recordings=4, children=4, hours=0.2,
        metrics={"1 s tolerance": of_events, "0.25 s tolerance": of_events, "SzCORE": of_events},
        timing={}, clusters={"true": 1, "detected": 1, "mean_absolute_error_per_recording": 0.5,
                             "fraction_with_a_detected_event": 0.5},
        missed=7, missed_unseen=3, seen_hours=0.1, false_alarms_per_seen_hour=140.0,
    )  # fmt: skip
    lines = timeline_text.event_metrics_table(evaluation, False, "accumulation", "settings as given").splitlines()
    rows = [line for line in lines if " to " in line]
    assert len(rows) == 6
    assert len({tuple(found.end() for found in re.finditer(r"\d\.\d{3}", row)) for row in rows}) == 1
    assert all(re.search(r" +\d+\.\d{3} +\d+\.\d{3} to +\d+\.\d{3}$", row) for row in rows)
    assert max(map(len, rows)) <= 120
    assert "7 true events were missed, 3 of them in time in which nothing was seen" in lines
    assert "140.00 false alarms per hour that was seen, in 0.10 of them" in lines
    assert timeline_text.HUMAN_REFERENCES not in lines
    simulated = timeline_text.event_metrics_table(evaluation, True, "accumulation", "settings as given").splitlines()
    added = [line for line in simulated if line not in lines]
    assert added == [console.SIMULATED, timeline_text.HUMAN_REFERENCES], "what humans reach stands beside them"
    assert "real videos, not comparable one to one" in timeline_text.HUMAN_REFERENCES


@pytest.mark.parametrize("value", [0.0, 70.0, 600.0, 123456.0, -1000.0])
def test_a_number_never_touches_what_stands_before_it(value: float):
    metric = Metric(value=value, low=value, high=value)
    lines = console.intervals_table(dict.fromkeys((key for key, _ in ROWS), metric), "title").splitlines()
    names = [name for _, name in ROWS]
    assert [line.rpartition(f" {value:.3f}   ")[0].strip() for line in lines[3:]] == names
    evaluation = EventEvaluation(
        recordings=1, children=1, hours=1.0, metrics={"1 s tolerance": {"false_alarms_per_hour": estimate(value)}},
        timing={}, clusters={"true": 1, "detected": 1, "mean_absolute_error_per_recording": 0.5,
                             "fraction_with_a_detected_event": 0.5},
        missed=0, missed_unseen=0, seen_hours=0.0, false_alarms_per_seen_hour=None,
    )  # fmt: skip
    table = timeline_text.event_metrics_table(evaluation, False, "accumulation", "settings as given")
    assert re.search(rf"tolerance +{re.escape(f'{value:.3f}')}   ", table)


def row_of(model: str, seeds: int, behind: float | None) -> comparison.Row:
    row: comparison.Row = {"model": model, "seeds": seeds, "f1_optimistic": 0.7123456}
    for name in (*comparison.SHOWN, "f1_minus_best"):
        value = behind if name == "f1_minus_best" else 0.6123456
        row |= {name: value} | {f"{name}_{end}": None if value is None else value for end in ("low", "high")}
    row |= {"f1_lowest_seed": 0.51, "f1_highest_seed": 0.72, "parameters": 1234567, "gflop": 1.3671}
    return row | {"processor_seconds": 12345.6, "latency_ms_batch1": 20.42, "latency_ms_batch16": 4.51}


def test_the_tables_of_a_comparison_are_aligned_and_fit_a_terminal():
    rows = [row_of("sta_gunet", 3, -0.0123), row_of("blend", 3, 0.0), row_of("blend of all 100 seeds", 1, 0.05)]
    for lines in (comparison._metrics_table(rows), comparison._seeds_table(rows)):
        assert len({len(line) for line in lines}) == 1
        assert len({tuple(found.start() for found in re.finditer(r"\|", line)) for line in lines}) == 1
        assert len(lines[0]) <= 120 and lines[0].count("|") <= 7
    assert "0.612 (0.612 to 0.612)" in comparison._metrics_table(rows)[2]
    assert "-0.012 (-0.012 to -0.012)" in comparison._seeds_table(rows)[2]
    assert "| best " in comparison._seeds_table(rows)[3], "the best is not compared with itself"


def test_robustness_noise_and_cohorts_are_aligned_with_at_most_four_digits():
    keys = [(kind, severity) for kind, tried in TRIED.items() for severity in tried]
    names = ("lgbm", "rocket", "sta_gunet", "two_stream", "blend")
    lines = robustness_table([(*key, name, 0.6543, 0.5, 0.7) for key in keys for name in names]).splitlines()[2:]
    cells = [line[34:] for line in lines]
    assert len(lines) == len(keys) and len(columns_of(cells)) == 1 and digits_of(cells) <= 4
    simulated = {name: row.real * 1.0123456 for name, row in BABYJOKES.items()}
    noise = realism_text.noise_table(simulated, None).splitlines()
    assert digits_of(noise[1:]) <= 4 and max(map(len, noise)) <= 120
    metrics = CohortMetrics(f1=0.51234, f1_patients=0.41234, auc=0.8, auc_within=0.7)
    heading, _, *cohorts = realism_text.cohort_table(
        {"recorded alike": metrics, "recorded apart": metrics}
    ).splitlines()
    assert columns_of(cohorts) == {
        tuple(found.end() for found in re.finditer(r"F1, all|patients|AUC, all|mean", heading))
    }


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_settings_that_a_search_chose_stand_in_one_column(name):
    model = MODELS[name]
    trial = {"trial": 3, "log_loss": 0.512345, "f1": 0.6, "auc": None, "values": spaces.default_values(model)}
    found = {"study": "main", "trials": {"complete": 4}, "model": name, "children": 20, "best": trial, "default": None}
    lines = tuning_tables.result_table({**found, "simulated": True}, model).splitlines()
    settings = [line for line in lines if line.startswith("  --")]
    assert settings and len({line.index("   default ") for line in settings}) == 1
    assert digits_of([line for line in lines if "trial 3" in line]) <= 4
    assert max(map(len, settings)) <= 120
    assert "SIMULATED" in lines[-1]
