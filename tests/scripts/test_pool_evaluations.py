"""pool_evaluations.py: what several sites let leave becomes one mean, with a plot."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import pool_evaluations
from helpers.tables import table
from spasm.cli import app
from spasm.evaluation import external
from spasm.evaluation.external import Evaluated
from spasm.runs.evaluations import Evaluation

RUN = "c" * 64


def site(seed: int, sha256: str = RUN, children: int = 12, lock: int | None = 1, code: str = "e" * 64) -> dict:
    """The content of a site's evaluation.json."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, children * 10)
    scores = 1 / (1 + np.exp(-generator.normal(2 * labels - 1, 1.2)))
    names = np.repeat([f"id{number}" for number in range(children)], 10)
    one = Evaluated(labels, scores, scores >= 0.5, names, np.zeros(len(labels), dtype=bool), seed)
    found = external.evaluate(one, 5)
    pair = {"training": 0.5, "here": 0.5}
    drift = {"prevalence": pair, "segments_without_pose": pair, "landmarks": [], "depth": pair, "quality": None,
             "classifier": None, "differing_features": None, "not_compared": "nothing was"}  # fmt: skip
    run = {"sha256": sha256, "models": ["lgbm"], "threshold": 0.5, "frames": 150, "landmarks": "all",
           "training_segments": 100, "training_children": 10, "trained_on_simulated_data": True,
           "segments": {**found, "subgroups": {}, "kinds": None, "drift": drift}, "recordings": None}  # fmt: skip
    return {
        "kind": "evaluation", "schema": 1, "date": "2026-01-01", "code": code, "data": f"{seed:064x}",
        "simulated": True, "fewest_children": 5,
        "lock": lock and {"evaluation_number": lock, "earlier_evaluations": 0}, "runs": [run], "comparisons": [],
    }  # fmt: skip


@pytest.fixture
def call(tmp_path, capsys):
    """Writes a file for each site and pools them; gives exit code, stdout, stderr."""

    def begin(*sites: dict, more: tuple[str, ...] = ()):
        paths = []
        for number, tree in enumerate(sites):
            paths.append(tmp_path / f"hospital_{number}/evaluation.json")
            paths[-1].parent.mkdir(exist_ok=True)
            paths[-1].write_text(json.dumps(tree))
        words = [*map(str, paths), "--out", str(tmp_path / "pooled"), *more]
        code = app.run(pool_evaluations.main, pool_evaluations.PoolEvaluations, "", words)
        return code, *capsys.readouterr()

    return begin


def test_the_mean_over_sites_equals_a_computation_from_their_files_alone(call, tmp_path):
    sites = [site(seed) for seed in range(4)]
    code, out, errors = call(*sites)
    assert code == 0 and errors == ""
    rows = {row["metric"]: row for row in table(tmp_path / "pooled/pooled.csv")}
    cells = [one["runs"][0]["segments"]["metrics"]["sensitivity"] for one in sites]
    y, v = np.array([cell["transformed"] for cell in cells]), np.array([cell["se"] ** 2 for cell in cells])
    assert y == pytest.approx([math.log(cell["value"] / (1 - cell["value"])) for cell in cells], rel=1e-4)
    q = np.sum((y - np.average(y, weights=1 / v)) ** 2 / v)
    tau2 = max(0, (q - 3) / (np.sum(1 / v) - np.sum(1 / v**2) / np.sum(1 / v)))
    w = 1 / (v + tau2)
    mean = np.average(y, weights=w)
    half = stats.t.ppf(0.975, 3) * math.sqrt(np.sum(w * (y - mean) ** 2) / 3 / np.sum(w))
    expected = stats.logistic.cdf([mean, mean - half, mean + half])
    found = [float(rows["sensitivity"][name]) for name in ("value", "low", "high")]
    assert found == pytest.approx(expected, rel=1e-4)
    assert float(rows["sensitivity"]["tau2"]) == pytest.approx(tau2, abs=1e-4)
    assert float(rows["slope"]["value"]) > 0 and rows["slope"]["scale"] == "identity"
    assert "always_positive_f1" not in rows and "SIMULATED" in out
    page, tree = (
        (tmp_path / "pooled/pooled.html").read_text(),
        json.loads((tmp_path / "pooled/pooled.json").read_text()),
    )
    assert page.count("<svg") == 5 and "hospital_3" in page and "<script" not in page
    assert [one["name"] for one in tree["sites"]] == [f"hospital_{number}" for number in range(4)]


def test_a_suppressed_value_leaves_a_site_out_of_that_metric_alone(call, tmp_path):
    sites = [site(seed) for seed in range(3)]
    sites[1]["runs"][0]["segments"]["metrics"]["auc"] = {
        "value": None, "low": None, "high": None, "scale": None, "transformed": None, "se": None, "suppressed": True
    }  # fmt: skip
    assert call(*sites)[0] == 0
    rows = {row["metric"]: row for row in table(tmp_path / "pooled/pooled.csv")}
    assert (rows["auc"]["sites"], rows["brier"]["sites"]) == ("2", "3")
    assert rows["auc"]["prediction_low"] == ""


def test_the_same_data_twice_and_different_runs_are_refused(call):
    code, _, errors = call(site(1), site(2), site(1))
    assert code == 1 and "is about the same data as" in errors
    code, _, errors = call(site(1), site(2, sha256="d" * 64))
    assert code == 1 and "holds no run that all the other files hold" in errors and "--different-runs" in errors
    assert call(site(1), site(2, sha256="d" * 64), more=("--different-runs",))[0] == 0


def test_a_site_without_a_first_result_or_with_other_code_is_a_warning(call):
    code, _, errors = call(site(1), site(2, lock=None), site(3, lock=4), site(5, code="f" * 64))
    assert code == 0
    assert "hospital_1: no lock-box was used" in errors and "hospital_2: evaluation number 4" in errors
    assert "hospital_3 was evaluated by another version" in errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 7}, "is of another version of this software (schema 7; this one reads 1)"),
        ({"kind": "pooled"}, "is not an evaluation of this software"),
        ({"runs": []}, "is damaged: runs"),
        ({"child": "id7"}, "is damaged: child: extra inputs are not permitted"),
        ({"code": "../x"}, "is damaged: code"),
    ],
)
def test_files_of_another_kind_are_refused(call, change, words):
    code, _, errors = call(site(1), site(2) | change)
    assert code == 1 and words in errors


def test_one_file_is_wrong_usage(call):
    code, _, errors = call(site(1))
    assert code == 2 and "two sites or more" in errors


def test_a_suppressed_value_that_is_there_makes_a_file_invalid(tmp_path):
    tree = site(1)
    Evaluation.model_validate(tree)
    tree["runs"][0]["segments"]["metrics"]["auc"]["suppressed"] = True
    with pytest.raises(ValueError, match="a suppressed value is there"):
        Evaluation.model_validate(tree)


def test_every_site_has_a_name_of_its_own():
    paths = tuple(Path(f"{name}/evaluation.json") for name in ("a", "b"))
    assert pool_evaluations.names_of(paths) == ["a", "b"]
    assert pool_evaluations.names_of((Path("a/x.json"), Path("b/x.json"))) == ["site 1", "site 2"]
