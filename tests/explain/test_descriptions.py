"""From contributions to sentences: what is summed loses nothing, and a sentence names what was measured."""

import subprocess
import sys

import numpy as np
import pytest

from helpers.repository import SOURCE
from spasm.explain.descriptions import (
    LEVELS,
    STRENGTHS,
    Reason,
    compare,
    describe_strengths,
    measured,
    sentence,
    short_phrase,
    strength,
    top_reasons,
)  # fmt: skip
from spasm.features.kinematics import CATALOGUE, NAMES

HANDS = [name for name in NAMES if CATALOGUE[name].family == ("speed", "hands")]


def reason(**changed: object) -> Reason:
    spec = CATALOGUE["hands_speed_p99_bl_s_most"]
    fields = {"value": 2.3129, "fraction_below": 0.931, "fraction_above": 0.069, "contribution": 0.42} | changed
    return Reason(**{"name": spec.name, "text": spec.phrase, "unit": spec.unit} | fields)


def reasons_for(
    contribution_of: dict[str, float], other_values: np.ndarray | None = None, count: int = 6, value: float = 1
) -> list[Reason]:
    """The reasons where only some features contribute, and all have one value."""
    contributions = np.array([contribution_of.get(name, 0) for name in NAMES])
    return top_reasons(contributions, np.full(len(NAMES), value, np.float32), NAMES, other_values, count)


# ---- families


def test_a_family_is_one_measure_of_one_part():
    assert "hands_speed_p90_bl_s_most" in HANDS
    assert "hands_articulated_speed_mean_best_1s_bl_s_least" in HANDS
    assert all(name.startswith("hands_") and "speed" in name for name in HANDS)
    assert CATALOGUE["event_rise_from_20pct_of_peak_s"].family == CATALOGUE["event_rise_from_50pct_of_peak_s"].family
    assert CATALOGUE["event_rise_from_20pct_of_peak_s"].family != CATALOGUE["event_peak_speed_bl_s"].family
    assert CATALOGUE["knee_p5_deg"].family != CATALOGUE["elbow_p5_deg"].family
    assert CATALOGUE["head_event_change_along_bl"].family == CATALOGUE["head_event_change_outward_bl"].family


def test_all_families_together_contribute_what_all_features_do():
    generator = np.random.default_rng(0)
    contributions, values = generator.normal(size=(2, len(NAMES)))
    reasons = top_reasons(contributions, values, NAMES, None, count=len(NAMES))
    assert len(reasons) == len({spec.family for spec in CATALOGUE.values()})
    assert sum(reason.contribution for reason in reasons) == pytest.approx(contributions.sum())
    assert sum(1 + reason.similar for reason in reasons) == len(NAMES)
    shap_values = [abs(reason.contribution) for reason in reasons]
    assert shap_values == sorted(shap_values, reverse=True)
    assert top_reasons(contributions, values, NAMES, None) == reasons[:6]


def test_a_family_is_represented_by_a_feature_with_the_sign_of_its_sum():
    """The strongest one has the other sign: its words beside the sum would say the opposite of what it did."""
    contribution_of = dict(zip(HANDS, (-0.5, 0.3, 0.4), strict=False))
    (only,) = reasons_for(contribution_of)
    assert only.name == HANDS[2]
    assert only.contribution == pytest.approx(0.2)
    assert only.similar == 2
    assert reasons_for({name: -value for name, value in contribution_of.items()})[0].name == HANDS[2]


def test_what_does_not_contribute_is_no_reason():
    assert reasons_for({}) == []
    assert reasons_for({HANDS[0]: 0.5, HANDS[1]: -0.5}) == []
    assert [one.name for one in reasons_for({"knee_p5_deg": -0.1, "gaps_per_s": 0.2}, count=6)] == [
        "gaps_per_s",
        "knee_p5_deg",
    ]
    assert len(reasons_for({"knee_p5_deg": -0.1, "gaps_per_s": 0.2}, count=1)) == 1


def test_any_choice_of_features_can_be_explained():
    names = ("knee_p5_deg", "head_speed_p50_bl_s")
    first, second = top_reasons(np.array([0.1, -0.2]), np.array([90, 0.5]), names, None)
    assert (first.name, first.value, second.name, second.value) == (names[1], 0.5, names[0], 90)


def test_values_are_compared_where_both_sides_are_known():
    contribution_of, other_values = {"knee_p5_deg": 1.0}, np.full((5, len(NAMES)), np.nan)
    assert reasons_for(contribution_of, None)[0].fraction_below is None
    assert reasons_for(contribution_of, other_values[:0])[0].fraction_below is None
    assert reasons_for(contribution_of, other_values)[0].fraction_below is None
    other_values[:4, NAMES.index("knee_p5_deg")] = 0, 0.5, 1, 2
    (one,) = reasons_for(contribution_of, other_values)
    assert (one.fraction_below, one.fraction_above) == (0.5, 0.25)  # of the four known; an equal one is neither
    assert reasons_for(contribution_of, other_values, value=np.nan)[0].fraction_below is None


def test_lengths_that_differ_are_refused():
    count = len(NAMES)
    with pytest.raises(ValueError, match=f"{count + 1} contributions and {count} values of {count} features"):
        top_reasons(np.zeros(count + 1), np.zeros(count), NAMES, None)  # the expected value is no feature's


# ---- sentences


def test_a_sentence_names_what_was_measured_how_it_compares_and_how_strongly_it_counts():
    start = "Speed of the faster hand relative to the hips, near its peak: high (highest 7 % of segments)"
    assert sentence(reason()) == f"{start}, moderately for a spasm"
    assert sentence(reason(contribution=-0.6)) == f"{start}, strongly against a spasm"


@pytest.mark.parametrize(
    ("below", "above", "text"),
    [(0.0, 1.0, "very low (lowest of all segments)"), (0.02, 0.97, "very low (lowest 3 % of segments)"),
     (0.001, 0.998, "very low (lowest 1 % of segments)"), (0.2, 0.8, "low (lowest 20 % of segments)"),
     (0.5, 0.5, "average (middle half of segments)"), (0.8, 0.2, "high (highest 20 % of segments)"),
     (0.9999, 0.0, "very high (highest 1 % of segments)"), (1.0, 0.0, "very high (highest of all segments)")],
)  # fmt: skip
def test_a_value_is_low_or_high_among_the_other_segments(below, above, text):
    assert compare(reason(fraction_below=below, fraction_above=above)) == text


def test_many_equal_values_are_not_extreme():
    assert compare(reason(fraction_below=0.0, fraction_above=0.4)) == "average (middle half of segments)"
    assert compare(reason(fraction_below=0.0, fraction_above=0.7)) == "low (lowest 30 % of segments)"


def test_a_value_that_cannot_be_compared_stands_for_itself():
    assert compare(reason(fraction_below=None, fraction_above=None)) == "2.31 trunk lengths/s"
    missing = reason(value=float("nan"), fraction_below=None, fraction_above=None)
    assert compare(missing) == measured(missing) == "could not be measured"


def test_strength_words_follow_fixed_limits_on_either_side():
    words = [strength(sign * value) for value in (1.2, 1.0, 0.5, 0.25, 0.1, 0.01) for sign in (1, -1)]
    assert words[::2] == words[1::2]
    assert words[::2] == ["very strongly", "very strongly", "strongly", "moderately", "slightly", "hardly"]
    assert all(f"{word} from {least:g}" in describe_strengths() for least, word in STRENGTHS[:-1])
    assert [level for level, _ in LEVELS] == sorted(level for level, _ in LEVELS)


def test_a_short_phrase_leaves_percentiles_sides_and_remarks_to_the_numbers():
    assert short_phrase("hip angle (180 straight), 5th to 95th percentile, the larger of two sides") == "hip angle"
    for spec in CATALOGUE.values():
        short = short_phrase(spec.phrase)
        assert short.isascii()
        assert "(" not in short
        assert 8 < len(short) <= len(spec.phrase)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (-1e-9, "0"), (0.0123456, "0.0123"), (0.5, "0.5"), (-12.345, "-12.3"), (178.96, "179"),
     (1234.5, "1230"), (np.float32(0.1), "0.1")],
)  # fmt: skip
def test_a_value_has_three_digits_and_no_exponent(value, text):
    assert measured(reason(value=float(value))) == f"{text} trunk lengths/s"
    assert measured(reason(value=float(value), unit="")) == text


@pytest.mark.command
def test_importing_it_loads_no_lightgbm_and_no_torch():
    code = "import sys, spasm.explain.descriptions; print('torch' in sys.modules, 'lightgbm' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["False", "False"]
