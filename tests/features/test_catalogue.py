"""The descriptions of the features: each is unique and agrees with the name and the code."""

import re

import pytest

from spasm.features.catalogue import UNITS
from spasm.features.kinematics import CATALOGUE, NAMES

# Unit fields of a name, at its end or before the side.
UNIT_OF = re.compile(r"_(bl|bl_s|bl_s2|bl_s3|deg|deg_s|rad_s|per_s|s|hz)(?:_most|_least)?$")


def test_every_feature_has_words_of_its_own():
    phrases = [spec.phrase for spec in CATALOGUE.values()]
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
        given = CATALOGUE[name].unit
        assert given == wanted or name.startswith("moving_points"), name


def test_every_percentile_window_and_band_in_a_name_is_in_its_words():
    for name in NAMES:
        phrase = CATALOGUE[name].phrase
        for number in re.findall(r"_p(\d+)_", name):
            assert {"50": "(median)"}.get(number, f"{number}th percentile") in phrase, name
        for number in re.findall(r"_(\d+)pct", name):
            assert f"{number} %" in phrase, name
        for number in re.findall(r"(?:best|in|after)_(\d+(?:_\d)?)s", name):
            assert f"{number.replace('_', '.')} s " in phrase + " ", name
        for low, high in re.findall(r"_power_([\d_]+)_to_(\d)_hz", name):
            assert f"{low.replace('_', '.')} to {high} Hz" in phrase, name


def test_a_side_is_named_only_where_there_are_two():
    for name in NAMES:
        phrase = CATALOGUE[name].phrase
        if name.startswith(("head_", "event_", "trunk_", "neck_", "hand_to_hand", "rigid_")):
            assert not re.search(r"of two sides|faster|mobile|abrupt", phrase), name
        if name.endswith(("_most", "_least")):
            assert re.search(r"of two sides|faster|slower|mobile|abrupt", phrase), name


@pytest.mark.parametrize(
    ("name", "phrase", "unit"),
    [
        # speeds: velocity is that about mid-hips; of two sides the larger percentile
        ("hands_speed_p99_bl_s_most", "speed of the faster hand relative to the hips, near its peak (99th percentile)",
         "trunk lengths/s"),
        ("feet_articulated_speed_p99_bl_s_least", "speed of the slower foot apart from whole-body and camera motion, "
         "near its peak (99th percentile)", "trunk lengths/s"),
        # speeds: minus the first percentile of the velocity away from the midline
        ("knees_inward_speed_p99_bl_s", "speed of the faster knee inwards, to the other side, near its peak "
         "(99th percentile)", "trunk lengths/s"),
        # amplitudes: the largest distance of two places that lie 0.2 s apart
        ("head_farthest_in_0_2s_bl", "largest displacement of the head over 0.2 s", "trunk lengths"),
        # shape: from where the event is backwards to where activity falls below 20 % of its height
        ("event_rise_from_20pct_of_peak_s", "rise time of the largest burst, from 20 % of its height", "s"),
        # pose_change: of the head the amount, whatever the side
        ("head_event_change_outward_bl", "shift of the head to either side from before to after the largest burst",
         "trunk lengths"),
        # synchrony: the legs' mean time minus the arms'
        ("legs_after_arms_at_20pct_of_path_s", "delay of the legs behind the arms at 20 % of their way around the "
         "largest burst (negative is ahead)", "s"),
        # symmetry: equal along the trunk, opposite across it
        ("elbows_mirrored_correlation_best_2s", "mirrored velocities of both elbows in the 2 s around the largest "
         "burst (1 full, -1 opposite)", ""),
        # angles_and_distances: the 5th percentile of the side where it is lower, all else where it is higher
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
    assert (CATALOGUE[name].phrase, CATALOGUE[name].unit) == (phrase, unit)
