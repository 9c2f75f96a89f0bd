"""Words for the statistics: all have some, they say what is measured, and what is summed loses nothing."""

import re
import subprocess
import sys

import numpy as np
import pytest

from helpers.segments import SOURCE
from spasm.explain.descriptions import UNITS, Reason, family, sentence, top_reasons, words
from spasm.features.kinematics import NAMES

# Fields of a name that the unit says, as the name ends or before the side.
UNIT_OF = re.compile(r"_(bl|bl_s|bl_s2|bl_s3|deg|deg_s|rad_s|per_s|s|hz)(?:_most|_least)?$")
HANDS = [name for name in NAMES if family(name) == ("speed", "hands")]


def reason(**changed: object) -> Reason:
    text, unit = words("hands_speed_p99_bl_s_most")
    held = {"value": 2.3129, "share_below": 0.931, "push": 0.42} | changed
    return Reason(**{"name": "hands_speed_p99_bl_s_most", "text": text, "unit": unit} | held)


def told(push: dict[str, float], compared: np.ndarray | None = None, count: int = 6, value: float = 1) -> list[Reason]:
    """The reasons where only some statistics push, and all have one value."""
    contributions = np.array([push.get(name, 0) for name in NAMES])
    return top_reasons(contributions, np.full(len(NAMES), value, np.float32), NAMES, compared, count)


# ---- words


def test_every_statistic_has_words_of_its_own():
    phrases = [words(name)[0] for name in NAMES]
    assert len(set(phrases)) == len(NAMES)
    for phrase in phrases:
        assert phrase.isascii()
        assert phrase == phrase.strip()
        assert not re.search(r"[_{}:;]|  |\bbl\b|\bpct\b", phrase)
        assert 8 < len(phrase) < 130


def test_the_unit_is_the_one_in_the_name():
    for name in NAMES:
        stands = UNIT_OF.search(name)
        wanted = UNITS[stands[1]] if stands and not name.startswith("share_of_time_below") else ""
        given = words(name)[1]
        assert given == wanted or name.startswith("moving_points"), name


def test_every_percentile_window_and_band_in_a_name_is_in_its_words():
    for name in NAMES:
        phrase = words(name)[0]
        for number in re.findall(r"_p(\d+)_", name):
            assert {"50": "(median)"}.get(number, f"{number}th percentile") in phrase, name
        for number in re.findall(r"_(\d+)pct", name):
            assert f"{number} %" in phrase, name
        for number in re.findall(r"(?:best|in|after)_(\d+(?:_\d)?)s", name):
            assert f"{number.replace('_', '.')} s " in phrase + " ", name
        for low, high in re.findall(r"_power_([\d_]+)_to_(\d)_hz", name):
            assert f"{low.replace('_', '.')} to {high} Hz" in phrase, name


def test_a_side_is_told_only_where_there_are_two():
    for name in NAMES:
        phrase = words(name)[0]
        if name.startswith(("head_", "event_", "trunk_", "neck_", "hand_to_hand", "rigid_")):
            assert not re.search(r"of two sides|faster|mobile|abrupt", phrase), name
        if name.endswith(("_most", "_least")):
            assert re.search(r"of two sides|faster|slower|mobile|abrupt", phrase), name


@pytest.mark.parametrize(
    ("name", "phrase", "unit"),
    [
        # put_speeds: velocity is that about mid-hips; of two sides the larger percentile
        ("hands_speed_p99_bl_s_most", "speed of the faster hand relative to the hips, near its peak (99th percentile)",
         "trunk lengths/s"),
        ("feet_articulated_speed_p99_bl_s_least", "speed of the slower foot apart from whole-body and camera motion, "
         "near its peak (99th percentile)", "trunk lengths/s"),
        # put_speeds: minus the first percentile of the velocity away from the midline
        ("knees_inward_speed_p99_bl_s", "speed of the faster knee inwards, to the other side, near its peak "
         "(99th percentile)", "trunk lengths/s"),
        # put_amplitudes: the largest distance of two places that lie 0.2 s apart
        ("head_farthest_in_0_2s_bl", "largest displacement of the head over 0.2 s", "trunk lengths"),
        # put_event: from where the event is backwards to where activity falls below 20 % of its height
        ("event_rise_from_20pct_of_peak_s", "rise time of the largest burst, from 20 % of its height", "s"),
        # put_event: of the head the amount, whatever the side
        ("head_event_change_outward_bl", "shift of the head to either side from before to after the largest burst",
         "trunk lengths"),
        # put_synchrony: the legs' mean time minus the arms'
        ("legs_after_arms_at_20pct_of_path_s", "delay of the legs behind the arms at 20 % of their way around the "
         "largest burst (negative is ahead)", "s"),
        # put_symmetry: equal along the trunk, opposite across it
        ("elbows_mirrored_correlation_best_2s", "mirrored velocities of both elbows in the 2 s around the largest "
         "burst (1 full, -1 opposite)", ""),
        # put_angles_and_distances: the 5th percentile of the side where it is lower, all else where it is higher
        ("knee_p5_deg", "knee angle (180 straight) at its smallest (5th percentile), the smaller of two sides",
         "degrees"),
        ("knee_p95_deg", "knee angle (180 straight) at its largest (95th percentile), the larger of two sides",
         "degrees"),
        ("hand_to_head_fall_fastest_bl_s", "fastest approach of hand and head (99th percentile), the larger of two "
         "sides", "trunk lengths/s"),
        ("rigid_zoom_p99_per_s", "speed of the common zoom of all points (camera or distance), near its peak "
         "(99th percentile)", "per s"),
    ],
)  # fmt: skip
def test_the_words_are_those_of_the_definition(name, phrase, unit):
    assert words(name) == (phrase, unit)


@pytest.mark.parametrize("name", ["", "hands", "hands_speed_p98_bl_s_most", "hands_speed_p99_bl_s_most_most"])
def test_another_name_is_refused(name):
    with pytest.raises(ValueError, match="no words for a statistic called"):
        words(name)


# ---- families


def test_a_family_is_one_measure_of_one_part():
    assert "hands_speed_p90_bl_s_most" in HANDS
    assert "hands_articulated_speed_mean_best_1s_bl_s_least" in HANDS
    assert all(name.startswith("hands_") and "speed" in name for name in HANDS)
    assert family("event_rise_from_20pct_of_peak_s") == family("event_rise_from_50pct_of_peak_s")
    assert family("event_rise_from_20pct_of_peak_s") != family("event_peak_speed_bl_s")
    assert family("knee_p5_deg") != family("elbow_p5_deg")
    assert family("head_event_change_along_bl") == family("head_event_change_outward_bl")


def test_all_families_together_push_as_all_statistics_do():
    generator = np.random.default_rng(0)
    contributions, values = generator.normal(size=(2, len(NAMES)))
    reasons = top_reasons(contributions, values, NAMES, None, count=len(NAMES))
    assert len(reasons) == len({family(name) for name in NAMES})
    assert sum(reason.push for reason in reasons) == pytest.approx(contributions.sum())
    assert sum(1 + reason.others for reason in reasons) == len(NAMES)
    shap_values = [abs(reason.push) for reason in reasons]
    assert shap_values == sorted(shap_values, reverse=True)
    assert top_reasons(contributions, values, NAMES, None) == reasons[:6]


def test_a_family_is_told_by_a_statistic_that_pulls_where_the_family_does():
    """The strongest one pulls the other way: its words beside the sum would say the opposite of what it did."""
    push = dict(zip(HANDS, (-0.5, 0.3, 0.4), strict=False))
    (only,) = told(push)
    assert only.name == HANDS[2]
    assert only.push == pytest.approx(0.2)
    assert only.others == 2
    assert told({name: -value for name, value in push.items()})[0].name == HANDS[2]


def test_what_does_not_push_is_no_reason():
    assert told({}) == []
    assert told({HANDS[0]: 0.5, HANDS[1]: -0.5}) == []
    assert [one.name for one in told({"knee_p5_deg": -0.1, "gaps_per_s": 0.2}, count=6)] == [
        "gaps_per_s",
        "knee_p5_deg",
    ]
    assert len(told({"knee_p5_deg": -0.1, "gaps_per_s": 0.2}, count=1)) == 1


def test_any_choice_of_statistics_can_be_told():
    names = ("knee_p5_deg", "head_speed_p50_bl_s")
    first, second = top_reasons(np.array([0.1, -0.2]), np.array([90, 0.5]), names, None)
    assert (first.name, first.value, second.name, second.value) == (names[1], 0.5, names[0], 90)


def test_values_are_compared_where_both_sides_are_known():
    push, others = {"knee_p5_deg": 1.0}, np.full((5, len(NAMES)), np.nan)
    assert told(push, None)[0].share_below is None
    assert told(push, others[:0])[0].share_below is None
    assert told(push, others)[0].share_below is None
    others[:4, NAMES.index("knee_p5_deg")] = 0, 0.5, 1, 2
    assert told(push, others)[0].share_below == 0.5  # of the four known; an equal one is not lower
    assert told(push, others, value=np.nan)[0].share_below is None


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="445 contributions and 444 values of 444 statistics"):
        top_reasons(np.zeros(445), np.zeros(444), NAMES, None)  # the expected value is no statistic's


# ---- sentences


def test_a_sentence_tells_value_rank_and_push():
    start = "speed of the faster hand relative to the hips, near its peak (99th percentile): 2.31 trunk lengths/s"
    assert sentence(reason()) == f"{start}, higher than 93 % of segments; speaks for a spasm (+0.42)"
    assert sentence(reason(others=3)).endswith("; speaks for a spasm (+0.42 with 3 like it)")
    assert sentence(reason(push=-0.126)).endswith("; speaks against a spasm (-0.13)")
    assert sentence(reason(push=-0.004)).endswith("; weighs little")
    assert sentence(reason(share_below=None)) == f"{start}; speaks for a spasm (+0.42)"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "none of the"), (0.001, "1 % of"), (0.5, "50 % of"), (0.9999, "99 % of"), (1.0, "all other")],
)
def test_nothing_short_of_all_is_rounded_to_all(share, text):
    assert f", higher than {text} segments;" in sentence(reason(share_below=share))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (-1e-9, "0"), (0.0123456, "0.0123"), (0.5, "0.5"), (-12.345, "-12.3"), (178.96, "179"),
     (1234.5, "1230"), (np.float32(0.1), "0.1")],
)  # fmt: skip
def test_a_value_has_three_digits_and_no_exponent(value, text):
    assert f": {text} trunk lengths/s," in sentence(reason(value=float(value)))


def test_a_value_that_could_not_be_measured_is_told_as_such():
    text = sentence(reason(value=float("nan"), share_below=None, push=-0.2))
    assert text.endswith("(99th percentile): could not be measured; speaks against a spasm (-0.20)")


def test_without_a_unit_no_blank_is_left():
    assert sentence(reason(text="share of frames", unit="", value=0.25, share_below=None)).startswith(
        "share of frames: 0.25; "
    )


def test_importing_it_loads_no_lightgbm_and_no_torch():
    code = "import sys, spasm.explain.descriptions; print('torch' in sys.modules, 'lightgbm' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["False", "False"]
