"""The model card: the metrics of its run, in plain words; no text of a file becomes markup; blanks are marked."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.evaluation import metrics
from spasm.evaluation.metrics import ROWS
from spasm.report.console import SIMULATED
from spasm.report.model_card import (
    calibration,
    model_card,
    plain,
    predictive_values,
    reporting_guidelines,
    table,
)
from spasm.runs.oof_table import OofTable

BLANK = "**TO BE FILLED IN BY THOSE WHO TRAINED IT:**"
HOSTILE = "<script>x</script> | **b** _i_ [a](http://e.org) `c` # www.e.org <!-- \n- x & \\| \x1b[2J"


def change(run: Path, name: str, **fields: object) -> None:
    path = run / name
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_data(run: Path, **fields: object) -> None:
    """Change the description of the data in the run, its decision and its metrics, all alike."""
    for name in ("run.json", "decision.json", "metrics.json"):
        change(run, name, data=json.loads((run / name).read_text())["data"] | fields)


def rows_of(card: str, first: str) -> list[list[str]]:
    """The cells of the table whose header begins with `first`."""
    lines = re.split(rf"\n\| {first} \|.*\n\| ---.*\n", card)[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")] for line in lines]


def in_short(card: str) -> dict[str, str]:
    """The box on top of the card, by the first cell of its lines."""
    return dict(map(tuple, rows_of(card, "In short")))


def shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def test_six_lines_on_top_say_what_it_is_how_good_and_what_it_is_not_for(trained):
    card, result = model_card(trained), json.loads((trained / "metrics.json").read_text())
    box, counts, f1 = in_short(card), result["confusion"], result["cross_fitted"]["f1"]
    subjects = ["What it does", "Trained on", "On new SIMULATED children", "Holds for", "Not tested", "Not for"]
    assert list(box) == subjects
    assert card.index("| In short |") < card.index("## 1.")
    assert "SIMULATED" in box["Trained on"] and f"{result['data']['children']} children" in box["Trained on"]
    f1_with_interval = f"F1 {shown(f1['value'])} (95 % interval {shown(f1['low'])} to {shown(f1['high'])})"
    found, positives = counts["true_positives"], result["data"]["positives"]
    assert f1_with_interval in box["On new SIMULATED children"]
    assert f"finds {found} of {positives} segments with a spasm" in box["On new SIMULATED children"]
    assert "alarm" in box["On new SIMULATED children"]
    prevalence = shown(result["cross_fitted"]["prevalence"]["value"])
    assert f"a prevalence of {prevalence} and the threshold {result['threshold']:.4f}" in box["Holds for"]
    assert "real children" in box["Not tested"]
    assert "**Not a medical device.**" in box["Not for"]


def test_every_metric_of_the_headline_is_that_of_metrics_json(trained):
    expected = json.loads((trained / "metrics.json").read_text())["cross_fitted"]
    cells_of = {name: cells for name, *cells in rows_of(model_card(trained), "cross-fitted")}
    assert list(cells_of) == [name for _, name in ROWS]
    for key, name in ROWS:
        value, low, high = (shown(expected[key][part]) for part in ("value", "low", "high"))
        assert cells_of[name] == [value, f"{low} to {high}"]


def test_metrics_of_folds_groups_and_models_are_those_of_metrics_json(trained):
    card, result = model_card(trained), json.loads((trained / "metrics.json").read_text())
    found = [row["f1"] for row in result["folds"]]
    assert ["F1", shown(min(found)), shown(max(found))] in rows_of(card, "metric")
    names = ("prevalence", "sensitivity", "specificity")
    for value, row in result["groups"]["cohort"].items():
        cells = [f"{row['segments']} ({row['children']})", *(shown(row[name]) for name in names)]
        assert [f"cohort: {value}", *cells] in [row[:-1] for row in rows_of(card, "group")]
    f1 = result["each_model"]["stgcn_mil"]["f1"]
    assert f"| stgcn_mil | {shown(f1['value'])} ({shown(f1['low'])} to {shown(f1['high'])}) |" in card
    optimistic = result["pooled_threshold"]["f1"]
    assert f"For comparison, and optimistic: F1 {shown(optimistic)} at one threshold" in card
    assert f"Threshold for new children: **{result['threshold']:.4f}**" in card


def test_the_confusion_matrix_adds_up_to_all_segments(trained):
    card, result = model_card(trained), json.loads((trained / "metrics.json").read_text())
    (_, hits, false), (_, missed, rejected) = rows_of(card, "confusion matrix")
    assert sum(map(int, (hits, false, missed, rejected))) == result["data"]["segments"]
    assert int(hits) + int(missed) == result["data"]["positives"]
    assert shown(int(hits) / (int(hits) + int(missed))) == shown(result["cross_fitted"]["sensitivity"]["value"])


def test_the_same_run_gives_the_same_card_without_a_date(trained):
    card = model_card(trained)
    assert card == model_card(trained)
    assert not re.search(r"\b20\d\d-\d\d", card)
    assert files.sha256(trained / "decision.json") in card


def test_a_card_of_simulated_data_says_so_in_its_first_line_and_at_its_result(trained):
    card = model_card(trained)
    assert card.splitlines()[0] == f"**{SIMULATED}**"
    assert f"{SIMULATED} **F1" in card
    assert "The children are SIMULATED: none was recorded" in card


def test_a_card_of_children_leaves_marked_blanks_for_what_no_run_knows(copied):
    change_data(copied, simulated=False)
    card = model_card(copied)
    assert "SIMULATED" not in card
    for words in ("eligible", "ethics approval", "who labelled", "funding"):
        assert any(BLANK in line and words in line for line in card.splitlines())


def test_it_says_what_the_software_is_not(trained):
    card = model_card(trained)
    assert "Not a medical device." in card
    assert "- **Not for**: diagnosis" in card


def test_of_all_paths_only_the_last_name_of_the_data_folder_is_shown(trained, simulated):
    card = model_card(trained)
    assert f"| folder | {simulated.name} |" in card
    assert str(trained.parent) not in card
    assert str(simulated.parent) not in card


@pytest.mark.parametrize("path", ["C:\\Users\\ann\\data", "/home/ann/data/", "data"])
def test_a_path_of_any_system_gives_its_last_name(copied, path):
    change_data(copied, path=path)
    assert "| folder | data |" in model_card(copied)
    assert "ann" not in rows_of(model_card(copied), "what")[0][1]


def test_settings_that_differ_from_the_defaults_are_shown_as_flags(trained, copied):
    (row,) = rows_of(model_card(trained), "model")
    assert row[4] == "--epochs 3, --width 8, --blocks 2, --kernel 5"
    assert "Blend settings:\ndefaults." in model_card(trained)
    change(
        copied,
        "decision.json",
        blend=json.loads((copied / "decision.json").read_text())["blend"] | {"child_context": True},
    )
    assert "Blend settings:\n--child-context." in model_card(copied)


def test_a_threshold_for_a_given_prevalence_belongs_to_that_prevalence(copied):
    blend = json.loads((copied / "decision.json").read_text())["blend"]
    change(copied, "decision.json", blend=blend | {"prevalence": 0.05})
    assert "for a prevalence of 0.050." in model_card(copied)


# ---- subgroups


def group(segments: int, children: int, prevalence: float) -> dict[str, object]:
    return {"segments": segments, "children": children} | {key: 0.5 for key, _ in ROWS} | {"prevalence": prevalence}


@pytest.mark.parametrize(
    ("children", "positives", "warns"), [(10, 20, False), (9, 20, True), (10, 19, True), (100, 0, True), (1, 1, True)]
)
def test_a_subgroup_of_few_children_or_positives_has_a_warning(copied, children, positives, warns):
    change(copied, "metrics.json", groups={"site": {"north": group(200, children, positives / 200)}})
    (row,) = rows_of(model_card(copied), "group")
    assert ("too few" in row[-1]) is warns
    if warns:
        assert f"{children} children, {positives} positives" in row[-1]


def test_a_run_without_groups_says_that_their_differences_are_unknown(copied):
    change(copied, "metrics.json", groups={})
    assert "there was no `groups.csv`" in model_card(copied)


# ---- text from files


@given(st.text())
def test_no_text_becomes_markup_and_none_is_lost(text):
    shown = plain(text)
    assert not re.search(r"[<>|`*\[\]{}\\~$!\"'@\n\r]|&(?!#\d+;)|www\.|:(?! )", shown, re.IGNORECASE)
    assert "#" not in re.sub(r"&#\d+;", "", shown)
    assert not re.search(r"(?<![^\W_])_|_(?![^\W_])", shown)
    assert html.unescape(shown) == printable(text)


def test_hostile_names_break_no_table_and_bring_no_markup(copied):
    change_data(copied, path=f"/data/{HOSTILE}", fingerprint=HOSTILE)
    change(copied, "metrics.json", groups={HOSTILE: {HOSTILE: group(200, 20, 0.5)}}, protocol=HOSTILE)
    provenance = dict.fromkeys(json.loads((copied / "decision.json").read_text())["provenance"], HOSTILE)
    change(copied, "decision.json", provenance=provenance)
    environment = {"device": HOSTILE, "precision": HOSTILE}
    change(copied, "stgcn_mil/manifest.json", versions={HOSTILE: HOSTILE}, environment=environment)
    change(copied, "run.json", folds={"folds": 3, "splitter": HOSTILE})
    card = model_card(copied)
    for raw in ("<script", "<!--", "**b**", "](", "http:", "www.", "\x1b", "`c`"):
        assert raw not in card
    for block in card.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            assert len({line.count("|") for line in lines}) == 1


def test_the_tables_of_the_card_are_whole(trained):
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert "None" not in model_card(trained)


# ---- what is missing or damaged


@pytest.mark.parametrize("name", ["metrics.json", "decision.json", "run.json", "oof.csv", "stgcn_mil/manifest.json"])
def test_a_missing_file_is_named_with_what_to_do(copied, name):
    (copied / name).unlink()
    with pytest.raises(DataError) as caught:
        model_card(copied)
    assert caught.value.path == (copied if name == "run.json" else copied / name)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["metrics.json", "decision.json", "run.json", "stgcn_mil/manifest.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"data": {}}'])
def test_a_damaged_file_is_named(copied, name, content):
    (copied / name).write_text(content)
    with pytest.raises(DataError) as caught:
        model_card(copied)
    assert caught.value.path == copied / name


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": None},
        {"cross_fitted": {}},
        {"folds": []},
        {"folds": {}},
        {"groups": {"site": {"north": 3}}},
        {"groups": {"site": {"north": group(200, 20, 0.5) | {"f1": "<b>"}}}},
        {"groups": {"site": {"north": group(200, 20, 0.5) | {"children": True}}}},
        {"groups": []},
        {"cross_fitted_thresholds": []},
        {"cross_fitted_thresholds": ["a", "b", "c"]},
        {"each_model": {"lgbm": {"f1": 1.0}}},
        {"confusion": {"true_positives": 1}},
        {"confusion": dict.fromkeys(("true_positives", "false_positives", "false_negatives", "true_negatives"), 1)},
        {"child_context": {"with_context": {}}},
        {"pooled_threshold": {"f1": "high", "threshold": 0.5}},
    ],
)
def test_metrics_of_another_shape_are_refused(copied, fields):
    change(copied, "metrics.json", **fields)
    with pytest.raises(DataError, match="is not metrics of this software"):
        model_card(copied)


def test_files_that_do_not_belong_together_are_refused(copied):
    change(copied, "metrics.json", threshold=0.123)
    with pytest.raises(DataError, match="another decision"):
        model_card(copied)
    change(copied, "run.json", data=json.loads((copied / "run.json").read_text())["data"] | {"children": 3})
    with pytest.raises(DataError, match="other data"):
        model_card(copied)


@pytest.mark.parametrize(("column", "value"), [("probability", "0.4321"), ("label_predicted", "flip")])
def test_out_of_fold_rows_of_other_metrics_are_refused(copied, column, value):
    lines = [line.split(",") for line in (copied / "oof.csv").read_text().splitlines()]
    place = lines[0].index(column)
    lines[1][place] = str(1 - int(lines[1][place])) if value == "flip" else value
    (copied / "oof.csv").write_text("\n".join(map(",".join, lines)) + "\n")
    with pytest.raises(DataError, match=r"is not the table that metrics\.json was computed from"):
        model_card(copied)


@pytest.mark.parametrize(("column", "value"), [("label", "2"), ("probability", "nan"), ("label", "x"), ("fold", "1.5")])
def test_out_of_fold_rows_of_other_values_are_refused(copied, column, value):
    lines = [line.split(",") for line in (copied / "oof.csv").read_text().splitlines()]
    lines[1][lines[0].index(column)] = value
    (copied / "oof.csv").write_text("\n".join(map(",".join, lines)) + "\n")
    with pytest.raises(DataError) as caught:
        model_card(copied)
    assert caught.value.path == copied / "oof.csv"


def test_settings_of_another_version_are_refused(copied):
    models = json.loads((copied / "decision.json").read_text())["models"]
    models["stgcn_mil"]["settings"] |= {"colour": "blue"}
    change(copied, "decision.json", models=models)
    with pytest.raises(DataError, match="settings of another version"):
        model_card(copied)


# ---- calibration, prevalence, guidelines


def table_of(labels: np.ndarray, probabilities: np.ndarray, children: np.ndarray) -> OofTable:
    """Out-of-fold rows of one fold."""
    return OofTable(
        names=np.arange(len(labels)).astype(str),
        children=children,
        labels=labels,
        folds=np.zeros(len(labels), dtype=int),
        logits={},
        probabilities=probabilities,
        positive=probabilities > 0.5,
        in_sample=probabilities,
    )


def test_bands_of_probability_hold_every_segment_once_with_their_fraction_of_positives():
    generator = np.random.default_rng(0)
    probabilities = np.append(generator.random(600), [0.0, 1.0])
    labels = (generator.random(602) < probabilities).astype(int)
    children = np.array([f"{row // 6}" for row in range(602)])
    rows = calibration(table_of(labels, probabilities, children))
    assert sum(int(row[1]) for row in rows) == 602
    last = probabilities >= 0.9
    fraction = metrics.evaluate(labels[last], probabilities[last], last[last], list(children[last]))["prevalence"]
    expected = (str(last.sum()), str(len(set(children[last]))), shown(probabilities[last].mean()))
    assert rows[-1][:4] == ("0.9 to 1.0", *expected)
    observed, *interval = map(float, re.findall(r"[\d.]+", rows[-1][4]))
    assert observed == pytest.approx(labels[last].mean(), abs=5e-4)
    # Other resamples of the same children, so not to the last digit.
    assert interval == pytest.approx([fraction["low"], fraction["high"]], abs=0.02)
    for _, _, _, mean, fraction in rows:
        observed, low, high = map(float, re.findall(r"[\d.]+", fraction))
        assert low <= observed <= high
        assert float(mean) == pytest.approx(observed, abs=0.1)


def test_a_band_with_one_child_has_no_interval_and_an_empty_one_no_row():
    oof = table_of(np.array([0, 1]), np.array([0.05, 0.07]), np.array(["a", "a"]))
    assert calibration(oof) == [("0.0 to 0.1", "2", "1", "", "too few children")]


def test_predictive_values_follow_from_the_counts_at_another_prevalence():
    assert predictive_values(0.1, 0.8, 0.9) == pytest.approx((80 / (80 + 90), 810 / (810 + 20)))
    assert predictive_values(0.1, None, 0.9) == (None, None)
    assert predictive_values(0.1, 0.0, 1.0) == (None, pytest.approx(0.9))


def lettered(*counts: int) -> set[str]:
    """Item numbers 1, 2, ... of a guideline, with letters where an item has parts."""
    letters = "abcdefg"
    return {
        f"{number}{letter}"
        for number, count in enumerate(counts, 1)
        for letter in (letters[:count] if count > 1 else [""])
    }


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        (1, "1 1 3 1 2 3 1 3 3 1 1 7 1 1 1 1 1 6 1 3 1 1 2 1 1 1 3"),
        (2, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 4 3 2 1 1 1 1 1 1 1 1 2 1 1 1 1 1 1 1 1 1 1 1 1 1 2"),
    ],
)
def test_every_item_of_both_guidelines_is_addressed_once(column, parts):
    named = [item for row in reporting_guidelines() for item in row[column].split(", ") if item]
    assert len(named) == len(set(named))
    assert set(named) == lettered(*map(int, parts.split()))


def test_sections_that_the_guidelines_point_to_exist(trained):
    headings = re.findall(r"^## (\d+)\.", model_card(trained), re.MULTILINE)
    assert headings == [str(place) for place in range(1, 11)]
    assert all(number in headings for row in reporting_guidelines() for number in re.findall(r"\d+", row[3]))
