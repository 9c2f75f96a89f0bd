"""The ridge regression of the random convolutions: against the textbook, in both spaces, with inner folds."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers.repository import ROOT
from spasm.ensemble.calibration import fit_logistic
from spasm.models.ridge import (
    BLOCK,
    PENALTIES,
    FeatureSpace,
    StandardRows,
    fit_ridge,
    inner_folds,
    of_raw_features,
    solve,
)

SPACES = pytest.mark.parametrize("by_features", [False, True], ids=["rows", "features"])


def logits_of(features: np.ndarray, fitted: dict[str, torch.Tensor]) -> np.ndarray:
    """Calibrated log-odds (N,) of features (N, F)."""
    coefficients, intercept = of_raw_features(fitted)
    return (torch.as_tensor(features).double() @ coefficients + intercept).numpy()


def ridge_by_hand(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, np.ndarray]:
    """The penalty that inner folds choose, and calibrated log-odds of the rows themselves, both from the primal."""
    scale = features.std(0, ddof=1)
    values = (features - features.mean(0)) / np.where(scale > 1e-6, scale, 1) / np.sqrt(features.shape[1])
    target, inner = 2.0 * labels - 1, inner_folds(labels, groups)

    def solve(rows: np.ndarray, penalty: float) -> np.ndarray:
        left = values[rows].T @ values[rows] + penalty * np.eye(values.shape[1])
        middle = target[rows].mean()
        return values @ np.linalg.solve(left, values[rows].T @ (target[rows] - middle)) + middle

    scores = np.empty((len(PENALTIES), len(labels)))
    for number, penalty in enumerate(PENALTIES):
        for fold in range(inner.max() + 1):
            scores[number, inner == fold] = solve(inner != fold, penalty)[inner == fold]
    best = np.mean((scores - target) ** 2, axis=1).argmin()
    slope, offset = fit_logistic(scores[best][:, None], labels, np.zeros(1), 1e-3)
    return PENALTIES[best], slope * solve(np.full(len(labels), True), PENALTIES[best]) + offset


@SPACES
def test_the_ridge_is_the_textbooks_with_the_penalty_that_inner_folds_of_children_choose(by_features):
    generator = np.random.default_rng(0)
    labels, groups = np.arange(60) % 2, np.repeat(np.arange(12), 5)
    chosen = []
    for strength in (0.0, 0.3, 5.0):
        features = generator.normal(size=(60, 40))
        features[:, :3] += strength * (2 * labels[:, None] - 1)
        features[:, -1] = 7  # never varies
        fitted = fit_ridge(torch.from_numpy(features), labels, groups, by_features=by_features)
        penalty, logits = ridge_by_hand(features, labels, groups)
        assert logits_of(features, fitted) == pytest.approx(logits, abs=1e-6)
        chosen.append(penalty)
    assert chosen[0] > 10 * chosen[2], "the test is void unless the penalty differs"


def test_rows_and_features_give_the_same_ridge_within_rounding(tmp_path):
    """In float32, as the random convolutions give them, over several batches; the penalty is chosen and not given."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 20)
    labels = (groups + np.arange(800) % 3 == 1) | (generator.random(800) < 0.3)
    features = np.float32(generator.normal(size=(800, 300)) @ generator.normal(size=(300, 300)) + 3)
    features[:, :2] += labels[:, None] * np.float32([40, -20])
    by_rows, by_features = (
        fit_ridge(torch.from_numpy(features), labels * 1, groups, by_features=space) for space in (False, True)
    )
    for name in ("mean", "scale"):
        assert torch.equal(by_rows[name], by_features[name])
    expected = logits_of(features, by_rows)
    assert logits_of(features, by_features) == pytest.approx(expected, abs=2e-3)  # in float64 above: 1e-6
    assert np.ptp(expected) > 1, "the test is void unless segments differ"
    chosen = fit_ridge(torch.from_numpy(features), labels * 1, groups)
    assert torch.equal(chosen["coefficients"], by_features["coefficients"]), "there are more rows than features"
    fewer = features[:200], labels[:200] * 1, groups[:200]
    chosen = fit_ridge(torch.from_numpy(fewer[0]), *fewer[1:])
    assert torch.equal(
        chosen["coefficients"], fit_ridge(torch.from_numpy(fewer[0]), *fewer[1:], by_features=False)["coefficients"]
    )
    np.save(tmp_path / "features.npy", features)
    mapped = fit_ridge(np.load(tmp_path / "features.npy", mmap_mode="r"), labels * 1, groups)
    assert torch.equal(mapped["coefficients"], by_features["coefficients"])


def test_every_penalty_has_the_direct_solution_although_the_matrix_is_float32_and_has_directions_without_rows():
    """900 rows in 1,200 features, the first with most of the variance, as random convolutions have."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(900, 1200, generator=generator) + 3 * torch.randn(900, 1, generator=generator)
    matrix = rows.T @ rows / 1200
    right = matrix.double() @ torch.randn(1200, generator=generator, dtype=torch.float64)
    whole = (matrix.tril() + matrix.tril(-1).T).double()
    matrix[:BLOCK, BLOCK:] = torch.nan  # the upper half is that of all rows, and not of this fold
    solved = solve(matrix, right, PENALTIES)
    for place in (0, 4, 8):
        expected = torch.linalg.solve(whole + PENALTIES[place] * torch.eye(1200), right)
        assert torch.linalg.norm(solved[:, place] - expected) < 1e-5 * torch.linalg.norm(expected)


def test_a_matrix_whose_rounding_hides_the_middle_penalty_is_solved_all_the_same():
    """As of millions of rows that have one direction in common."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(400, 1, generator=generator)
    rows = torch.randn(300, 400, generator=generator)
    matrix = 3e4 * common @ common.T + rows.T @ rows
    matrix = matrix.tril() + matrix.tril(-1).T
    assert torch.linalg.cholesky_ex(matrix + PENALTIES[4] * torch.eye(400)).info > 0, "the test is void"
    right = matrix.double() @ torch.randn(400, generator=generator, dtype=torch.float64)
    solved = solve(matrix, right, PENALTIES[-3:])
    whole = matrix.double() + PENALTIES[-1] * torch.eye(400)
    expected = torch.linalg.solve(whole, right)
    wrong = solved[:, -1] - expected  # by the scores that it makes of the rows, whose products are the matrix
    assert wrong @ whole @ wrong < 1e-12 * expected @ whole @ expected


def test_a_left_out_fold_leaves_the_matrix_of_all_rows_as_it_was():
    generator = np.random.default_rng(0)
    features = torch.from_numpy(np.float32(generator.normal(size=(1500, 1100))))  # more than a block of either
    target = torch.from_numpy(generator.choice([-1.0, 1.0], 1500))
    space = FeatureSpace(StandardRows(features), target)
    before = space.gram.clone()
    one, two = np.arange(0, 1500, 5), np.arange(2, 1500, 5)
    first = space.left_out(one)
    second = space.left_out(two)
    assert torch.equal(space.gram, before)
    assert np.array_equal(space.left_out(one), first) and not np.array_equal(first, second)


FIT = """
import hashlib, numpy as np, torch
from spasm.models.ridge import fit_ridge
torch.set_num_threads(1)
generator = np.random.default_rng(0)
features = np.float32(generator.normal(size=(1500, 1037)))
labels = (features[:, 0] + generator.normal(size=1500) > 0) * 1
fitted = fit_ridge(features, labels, np.arange(1500) // 10)
print(*(hashlib.sha256(value.numpy().tobytes()).hexdigest() for value in fitted.values()))
"""
PEAK = """
import torch
from pathlib import Path
from spasm.models.ridge import PENALTIES, solve
def megabytes(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
torch.set_num_threads(1)
matrix = torch.eye(6000)
solve(matrix[:100, :100], torch.ones(100, dtype=torch.float64), PENALTIES)
before = megabytes("VmRSS")
solve(matrix, torch.ones(6000, dtype=torch.float64), PENALTIES)
print(megabytes("VmHWM") - before)
"""


def in_a_process(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=True).stdout


@pytest.mark.command
def test_the_space_of_features_gives_the_same_bytes_in_another_process():
    assert in_a_process(FIT) == in_a_process(FIT) != ""


@pytest.mark.command
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_a_solution_needs_the_memory_of_one_factor_and_no_copies_of_the_matrix():
    matrix = 4 * 6000**2 / 2**20
    assert matrix < float(in_a_process(PEAK)) < 1.5 * matrix


def test_copies_are_learned_from_but_the_calibration_is_that_of_the_originals():
    generator = np.random.default_rng(0)
    labels, groups = np.arange(200) % 2, np.repeat(np.arange(20), 10)
    clear = generator.normal(size=(200, 5)) + (2 * labels[:, None] - 1)
    vague = clear + 6 * generator.normal(size=(200, 5))
    rows = torch.from_numpy(np.concatenate([clear, vague])), np.tile(labels, 2), np.tile(groups, 2)
    careful, sure = fit_ridge(*rows), fit_ridge(*rows, originals=200)
    ratio = sure["coefficients"] / careful["coefficients"]
    assert torch.allclose(ratio, ratio[:1]) and ratio[0] > 1.5, "the same direction, steeper"
    slopes = [fit_logistic(logits_of(clear, fit)[:, None], labels, np.zeros(1), 1e-3)[0] for fit in (careful, sure)]
    assert abs(slopes[1] - 1) < abs(slopes[0] - 1)


@SPACES
def test_what_marks_a_child_and_not_the_label_is_not_trusted(by_features):
    """Each child has a label and a mark of its own. Folds that split children would find the marks perfect."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 6)
    labels = generator.permutation(np.arange(30) % 2)[groups]
    marks = generator.normal(size=(30, 50))[groups] + 0.01 * generator.normal(size=(180, 50))
    honest = logits_of(marks, fit_ridge(torch.from_numpy(marks), labels, groups, by_features=by_features))
    alone = np.arange(180)
    fooled = logits_of(marks, fit_ridge(torch.from_numpy(marks), labels, alone, by_features=by_features))
    assert np.abs(honest).max() < 1.5
    assert np.abs(fooled).min() > 2


def test_inner_folds_hold_whole_children_and_share_out_the_positives():
    generator = np.random.default_rng(0)
    groups = generator.permutation(np.repeat([f"child {number}" for number in range(23)], 4))
    labels = (np.char.endswith(groups, ("3"))).astype(int)  # those of 3 and 13
    labels |= np.isin(groups, ["child 0", "child 5", "child 8"])
    inner = inner_folds(labels, groups)
    assert set(inner) == set(range(5))
    for child in np.unique(groups):
        assert len(set(inner[groups == child])) == 1
    assert [labels[inner == fold].sum() for fold in range(5)] == [4] * 5
    assert len(set(inner_folds(np.array([0, 1, 1]), np.array(["a", "b", "b"])))) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@SPACES
def test_a_gpu_solves_the_same_ridge(by_features):
    generator = np.random.default_rng(0)
    labels, groups = np.arange(300) % 2, np.repeat(np.arange(30), 10)
    features = generator.normal(size=(300, 200)).astype(np.float32)
    features[:, :3] += 0.3 * (2 * labels[:, None] - 1)
    fitted = [
        fit_ridge(features, labels, groups, by_features=by_features, device=torch.device(device))
        for device in ("cpu", "cuda")
    ]
    assert all(value.device.type == "cpu" for value in fitted[1].values())
    on_cpu, on_gpu = (logits_of(features, one) for one in fitted)
    assert np.abs(on_cpu - on_gpu).max() < 1e-4
