"""What a run is, how well it answers and what it must not be used for: a card to share, in Markdown, without dates.

Item numbers are those of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378) and STARD-AI (Sounderajah et al., Nature
Medicine 2025;31:3283-3289).
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError, from_tree
from spasm.config.models import MEMBERS, LgbmMember, Member, RocketMember
from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.data.pose import FPS
from spasm.ensemble.calibration import probability
from spasm.evaluation import curves
from spasm.evaluation.metrics import ROWS
from spasm.report.console import SIMULATED, number
from spasm.runs.decision_json import open_decision
from spasm.runs.metrics_json import OutOfFold, read_figures, read_out_of_fold, rebuild_hint
from spasm.runs.run import MemberFolder, read_manifest, read_run

FEWEST_CHILDREN, FEWEST_POSITIVES = 10, 20  # with less of either, figures of a subgroup say next to nothing
SHARES = (0.01, 0.05, 0.2)  # of positives, for which the card says how many alarms would be true
BLANK = "**TO BE FILLED IN BY WHO TRAINED IT:**"
OPEN = "not reported here: to be filled in"
# An underscore inside a word and a colon before a space are no markup, and stay readable.
UNSAFE = re.compile(r"[^\w ,.;:/()+=%-]|:(?! )|(?<=www)\.|(?<![^\W_])_|_(?![^\W_])", re.IGNORECASE)
KINDS = {
    "lgbm": "LightGBM on named statistics of the movement",
    "rocket": "ridge on random convolutions",
    "stgcn_mil": "ST-GCN with an attention MIL head",
}
INTENDED = """\
> **Not a medical device.** Nobody may be diagnosed, treated or reassured with it. A child with suspected spasms needs a
> doctor and an EEG, today.

- **For**: research on recognising infantile epileptic spasms from video poses; pointing at moments of a recording for
  somebody to look at who knows what spasms look like. Spasms last a second or two and are mistaken for colic, and each
  week of delay harms a child's development.
- **Users**: researchers and developers, and clinicians who take part in a study. They must manage a command line, and
  be able to judge spasms in video or work with somebody who is.
- **Out of scope**: diagnosis, triage, treatment, or the decision to wait; use by parents alone; alarms that anybody
  relies on; other seizures, other ages, other ways to find landmarks; recordings made without consent.
- It sees landmarks and nothing else: no EEG, history or sound. No person takes part between poses and answer."""
RISKS = """\
| risk | what it does | what to do about it |
| --- | --- | --- |
| A spasm is missed | the diagnosis comes later, and each week counts | never wait because of a negative answer |
| False reassurance | "nothing found" is heard as "no spasms" | tell with every answer what share is missed |
| False alarms | worry, needless tests, alarms that are ignored | look at each moment in the video; see below |
| Landmarks are missing | what is not seen cannot be recognised | film all of the child; `--abstain`; `robustness.py` |
| Children unlike those of section 3 | figures fall, unseen in small groups | measure on your own, by `groups.csv` |
| Another share of positives | rarer spasms: most alarms are false | `--prevalence`, `evaluate_label_shift.py` |"""
# Our words for the items, the items of TRIPOD+AI and of STARD-AI, and where: numbers are sections of the card.
GUIDELINES = (
    ("title: what is studied, in whom, how accurate", "1", "1", "title, 1, 5"),
    ("structured summary", "2", "2", OPEN),
    ("clinical background; other models", "3a", "3", "2; README"),
    ("purpose, place in care, users and their expertise", "3b", "15d, 34", "2, 8"),
    ("known inequalities", "3c", "", OPEN),
    ("objectives", "4", "4", "1, 4; hypotheses to be filled in"),
    ("where the data come from, and whom they represent", "5a", "11, 28", "3, to be filled in"),
    ("design, setting, dates, how participants were found", "5b, 6a", "5, 8, 9, 10", "3, to be filled in"),
    ("who was eligible", "6b", "7", "3, to be filled in"),
    ("treatments, and time between test and reference", "6c", "27", OPEN),
    ("acquisition, preparation and checks of the data", "7", "14", "8, 9; README; acquisition to be filled in"),
    ("devices and software", "", "13", "9; devices in 3, to be filled in"),
    ("outcome and reference standard", "8a", "16a, 16b, 16c", "3, to be filled in"),
    ("who judged the outcome", "8b", "12", "3, to be filled in"),
    ("what they knew when they judged it", "8c", "17b", "3, to be filled in"),
    ("what the model reads, and how it is prepared", "9a, 9b, 12b", "15a", "9; README, Method"),
    ("people who read the input, and what they know", "9c", "17a", "2: nobody does"),
    ("size of the study", "10", "22", "3 has the size; its reasons to be filled in"),
    ("missing data", "11", "20", "8"),
    ("answers that cannot be trusted", "", "19", "8"),
    ("how the data were divided", "12a", "15b", "3, 4"),
    ("kind of model, how it was built and judged", "12c", "", "1, 4, 9; README, Method"),
    ("how figures vary over clusters", "12d, 23b", "21", "5: folds, members, subgroups"),
    ("measures, and how they were computed", "12e", "18", "4, 5, 6"),
    ("updating after the evaluation", "12f, 24", "", "none was done; 8 says how"),
    ("how the probabilities that are judged were made", "12g", "", "4"),
    ("imbalance of the classes", "13", "", "6; README, Method"),
    ("fairness, errors by group, ethics of use", "14", "23, 35", "5: subgroups; 7"),
    ("output, threshold, and why this one", "15", "15c", "6, 9"),
    ("evaluation on other data, and how these differ", "16, 20c", "29", "none in this card, see 4: to be filled in"),
    ("ethics approval and consent", "17", "6", "3, to be filled in"),
    ("funding", "18a", "38", "9, to be filled in"),
    ("interests", "18b", "39", "9, to be filled in"),
    ("study protocol", "18c", "37", OPEN),
    ("registration", "18d", "36", OPEN),
    ("access to data and code", "18e, 18f", "40a", "9; data to be filled in"),
    ("whether outputs are kept and can be audited", "", "40b", "9"),
    ("involvement of patients and the public", "19", "", OPEN),
    ("flow of participants, with and without the outcome", "20a", "24", "3 has segments; flow to be filled in"),
    ("who the children are: age, severity, other diagnoses", "20b", "25, 26a, 26b", "3, to be filled in"),
    ("numbers in each analysis", "21", "", "3, 5"),
    ("the whole model", "22", "", "9: the run folder"),
    ("answers against labels", "", "30", "5"),
    ("accuracy with intervals, and in subgroups", "23a", "31", "5; subgroups without intervals"),
    ("harm from the test or the reference", "", "32", OPEN),
    ("interpretation", "25", "", "6, 7; to be filled in"),
    ("limits", "26", "33", "3, 4, 7; README, Limits"),
    ("poor or missing input", "27a", "", "8"),
    ("what users must do and know", "27b", "", "2, 8"),
    ("next steps", "27c", "", "8"),
)


def plain(text: str) -> str:
    """Text from a file as a reader sees it: it cannot become markup, a link or another table cell."""
    return UNSAFE.sub(lambda found: f"&#{ord(found[0])};", printable(text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def calibration(answers: OutOfFold) -> list[tuple[str, ...]]:
    """Per band of probability: segments, children, mean probability, share of positives and its interval over them."""
    rows: list[tuple[str, ...]] = []
    for part in curves.reliability(
        answers.labels, answers.probabilities, answers.children.tolist(), np.array(curves.BANDS)
    ):
        shown = (f"{part.mean:.3f}", f"{part.observed:.3f}", f"{part.observed_low:.3f} to {part.observed_high:.3f}")
        if part.children < 2:  # one child drawn again and again has no interval
            shown = ("", "", "too few to judge")
        rows.append((f"{part.low:.1f} to {part.high:.1f}", str(part.segments), str(part.children), *shown))
    return rows


def precision_at(share: float, sensitivity: float | None, specificity: float | None) -> float | None:
    """Share of positive answers that are right at another share of positives, by Bayes' rule."""
    if sensitivity is None or specificity is None:
        return None
    true, false = sensitivity * share, (1 - specificity) * (1 - share)
    return true / (true + false) if true + false else None


def _shown(value: float | None) -> str:
    return number(value).strip()


def _interval(figure: Mapping[str, float | None]) -> str:
    return f"{_shown(figure['low'])} to {_shown(figure['high'])}"


def _last(path: str) -> str:
    """The last name of a path: where the folder lay is nobody's business."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _changed(made: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """The settings that are not the defaults, as flags."""
    flags: list[str] = []
    for key, value in made.items():
        if isinstance(value, dict):
            flags += _changed(value, usual[key])
        elif value != usual[key]:
            flags.append(f"--{key.replace('_', '-')} {_last(str(value))}")
    return flags


def _settings(name: str, tree: Any) -> str:
    """What of a member's settings is not the default. Raises SettingsError for settings of another version."""
    made: Any = from_tree({"lgbm": LgbmMember, "rocket": RocketMember}.get(name, Member), tree)
    usual = MEMBERS[made.model] if isinstance(made, Member) else type(made)()
    return plain(", ".join(_changed(dataclasses.asdict(made), dataclasses.asdict(usual)))) or "defaults"


# ---- sections


def _what(decision: dict[str, Any], settings: Mapping[str, str], manifests: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name, member in decision["members"].items():
        where = " ".join(str(manifests[name][key]) for key in ("device", "precision") if key in manifests[name])
        seeds = ", ".join(map(str, member["seeds"]))
        kind = KINDS.get(name, "network, see README")
        rows.append((f"`{name}`", kind, f"{member['weight']:.3f}", seeds, settings[name], plain(where) or "cpu"))
    blended = ", ".join(_changed(decision["blend"], dataclasses.asdict(Blend()))) or "defaults"
    return f"""\
Software that gives a segment of body landmarks ({decision["frames"] / FPS:g} seconds) a probability that the child has
an infantile epileptic spasm in it, a label, and the moment that weighed most. It was developed and judged on the same
children, by {decision["folds"]} folds; each member is {decision["folds"]} models a seed, one of each fold.

{table(("member", "what", "weight", "seeds", "settings", "computed on"), rows)}

Averaged: {plain(decision["how"]["averaging"])}. Weights: {plain(decision["how"]["weights"])}. Settings of the blend:
{plain(blended)}."""


def _training_data(data: dict[str, Any]) -> str:
    share, poseless = data["positives"] / data["segments"], data["without_pose"] / data["segments"]
    rows = (
        ("folder", plain(_last(data["path"]))),
        ("segments", str(data["segments"])),
        ("children", str(data["children"])),
        ("positive segments", f"{data['positives']} (prevalence {share:.3f})"),
        ("segments without any pose", f"{data['without_pose']} ({poseless:.3f})"),
        ("fingerprint", plain(data["fingerprint"])),
    )
    limits = f"""\
- {BLANK} where, when and why these children were filmed, who was eligible, and who was left out
- {BLANK} their ages, sex and diagnoses, how severe the spasms were, and whom they represent
- {BLANK} who labelled the segments, with what training, from what (video, EEG), and blind to what
- {BLANK} cameras, and the software and version that found the landmarks
- {BLANK} ethics approval and consent"""
    if data["simulated"]:
        limits = """\
- The infants are simulated: no child was filmed, so there is no eligibility, reader, consent or ethics approval to
  report. `simulated.json` in the data folder says how they were made. Nothing here carries over to children."""
    return f"""\
{table(("what", "value"), rows)}

{limits}
- Limits of every run: MediaPipe was made for adults; segments of one child resemble each other, so that the size which
  counts is {data["children"]} children; the share of positives is that of these data, not of any clinic."""


def _results(result: dict[str, Any], answers: OutOfFold) -> str:
    headline, warning = result["cross_fitted"], f"{SIMULATED} " if result["data"]["simulated"] else ""
    f1, chance, share = headline["f1"], headline["always_positive_f1"], headline["prevalence"]
    cells = [str(count) for count in np.bincount(2 * answers.positive + answers.labels, minlength=4)]
    crossed = (("answered 1", cells[3], cells[2]), ("answered 0", cells[1], cells[0]))
    plain_f1 = result["pooled_threshold"]["f1"]
    members = {plain(name): figures for name, figures in result["each_member"].items()}
    members["blend, each segment alone"] = result["child_context"]["without"]
    members["blend, with the child's other segments"] = result["child_context"]["with"]
    shown = ("f1", "sensitivity", "specificity", "auc", "brier", "prevalence")
    ranges = []
    for key in shown:
        known = [row[key] for row in result["folds"] if row[key] is not None]
        span = (_shown(min(known)), _shown(max(known))) if known else ("n/a", "n/a")
        ranges.append((dict(ROWS)[key], *span, str(len(known))))
    figures = [(name, _shown(headline[key]["value"]), _interval(headline[key])) for key, name in ROWS]
    alone = []
    for name, row in members.items():
        others = (_shown(row[key]["value"]) for key in shown[1:5])
        alone.append((name, f"{_shown(row['f1']['value'])} ({_interval(row['f1'])})", *others))
    return f"""\
{warning}**F1 {_shown(f1["value"])}** ({_interval(f1)}) at a prevalence of {_shown(share["value"])}.
Always answering positive: {_shown(chance["value"])}.

{table(("cross-fitted", "value", "95 % interval over children"), figures)}

Optimistic, for comparison only: F1 {_shown(plain_f1["value"])} ({_interval(plain_f1)}) at one threshold for all,
chosen on the rows it is judged on.

{table(("segments", "label 1", "label 0"), crossed)}

By member, each with calibration and threshold of its own:

{table(("cross-fitted", "F1", *(dict(ROWS)[key] for key in shown[1:5])), alone)}

By fold, from the lowest to the highest of {len(result["folds"])}:

{table(("figure", "lowest", "highest", "folds that have it"), ranges)}

{_subgroups(result["groups"])}"""


def _subgroups(groups: Mapping[str, Mapping[str, dict[str, Any]]]) -> str:
    rows = []
    for column, values in groups.items():
        for value, row in values.items():
            positives, children = round(row["prevalence"] * row["segments"]), row["children"]
            few = children < FEWEST_CHILDREN or positives < FEWEST_POSITIVES
            warning = f"**too few to judge**: {children} children, {positives} positives" if few else ""
            figures = (_shown(row[key]) for key in ("prevalence", "f1", "sensitivity", "specificity"))
            name = plain(value) or "(none given)"
            rows.append((plain(column), name, str(row["segments"]), str(children), *figures, warning))
    if not rows:
        return "By subgroup: no `groups.csv` was given, so nothing is known of how answers differ between groups."
    header = ("column", "value", "segments", "children", "prevalence", "F1", "sensitivity", "specificity", "warning")
    return f"""\
By subgroup of `groups.csv`, at the same thresholds, without intervals. F1 rises with prevalence: compare sensitivity
and specificity. A group of few children can give a child away: look before you share this card.

{table(header, rows)}"""


def _threshold(decision: dict[str, Any], result: dict[str, Any], answers: OutOfFold) -> str:
    brier, share = result["cross_fitted"]["brier"], answers.labels.mean()
    header = ("probability", "segments", "children", "mean", "share of positives", "95 % interval over children")
    thresholds, told = result["cross_fitted_thresholds"], decision["blend"]["prevalence"] or decision["prevalence"]
    return f"""\
Brier score {_shown(brier["value"])} ({_interval(brier)}); always answering the prevalence: {share * (1 - share):.3f}.
Mean probability {answers.probabilities.mean():.3f}, share of positives {share:.3f}. By cross-fitted probability:

{table(header, calibration(answers))}

An interval without width means that all children of the band agree, not that the share is certain.

Threshold for new children: **{decision["threshold"]:.4f}**, chosen as: {plain(decision["how"]["threshold"])}.
Those that judged the folds lie between {min(thresholds):.4f} and {max(thresholds):.4f}. It weighs missed spasms and
false alarms as F1 does, which is no clinical judgement, and belongs to a share of positives of {told:.3f}."""


def _risks(headline: Mapping[str, Mapping[str, float | None]]) -> str:
    sensitivity, specificity = headline["sensitivity"]["value"], headline["specificity"]["value"]
    rows = [(f"{share:.2f}", _shown(precision_at(share, sensitivity, specificity))) for share in SHARES]
    return f"""\
{RISKS}

If sensitivity ({_shown(sensitivity)}) and specificity ({_shown(specificity)}) stayed as they are:

{table(("share of positives", "share of alarms that are true"), rows)}

Expect worse on new children: in the 2026 challenge every entry lost a third or more of its F1 on them."""


def _use(decision: dict[str, Any]) -> str:
    guess = float(probability(decision["without_pose"]))
    alike = "" if decision["context"] is None else " An answer depends on the child's other segments beside it."
    return f"""\
- Landmarks that were not found are interpolated over time or left out; what nobody saw cannot be recognised.
- A segment without any pose is answered as such segments were labelled in training: probability {guess:.3f}, label
  {int(guess >= decision["threshold"])}, with a note. That is no answer about the child.
- `--abstain SHARE` notes segments as too poor to judge where fewer landmarks than that are in the picture; they still
  get a label, which is a guess. By default no segment is too poor.
- A file of another shape or length, or that cannot be read, is named, and nothing is answered.{alike}
- **You have to**: read `note` and `pose_fraction`; look at each moment in the video; measure on children of your own
  before anything else, also in subgroups; give `--prevalence` where the share of positives is another.
- **To update**: train into another `--run` with more children, `python src/blend.py`, and write its card. Never choose
  anything on the children who judge it. Next: evaluation elsewhere, by a protocol that is written before."""


def _technical(decision: dict[str, Any], digest: str, folds: Mapping[str, Any], manifests: Mapping[str, Any]) -> str:
    tools = {f"{key} {value}" for manifest in manifests.values() for key, value in manifest["versions"].items()}
    dealt = ", ".join(f"{key} {value}" for key, value in folds.items())
    return f"""\
- Input: `({decision["frames"]}, 33, 5)` of MediaPipe Pose at {FPS:g} frames per second: x, y, z, visibility, presence;
  NaN where a landmark was not found.
- Output: a table of labels; beside it probability, label, moment, share of frames with a pose, note. Both are files
  that can be kept and audited, as is every out-of-fold answer (`oof.csv`).
- Folds: {plain(dealt)}.
- Versions: {plain(", ".join(sorted(tools)))}.
- The model is the run folder; sha256 of `decision.json`, which names the sha256 of every file it rests on:
  `{digest}`
- Code: the repository, MIT licence. Contact: its maintainers (`CITATION.cff`), in the repository's issue tracker.
- {BLANK} whom to ask about this run, funding, interests, and whether its data can be had"""


def _guidelines() -> str:
    return f"""\
The items of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378) and STARD-AI (Sounderajah et al., Nature Medicine
2025;31:3283-3289) by number, in our words. Where: sections of this card, or the repository. A card is no study report:
what is to be filled in has to be written by whoever reports a study.

{table(("about", "TRIPOD+AI", "STARD-AI", "where"), GUIDELINES)}"""


# ---- reading


def _read_decision(run: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What decision.json says, and what of each member's settings is not the default."""
    decision, path = open_decision(run), run / "decision.json"
    how, hint = decision.get("how"), rebuild_hint(run)
    if not (isinstance(how, dict) and all(type(how.get(key)) is str for key in ("averaging", "weights", "threshold"))):
        raise DataError(path, "does not say how its parts were chosen", hint)
    try:
        return decision, {name: _settings(name, member["settings"]) for name, member in decision["members"].items()}
    except (KeyError, SettingsError) as error:
        raise DataError(path, f"has settings of another version ({printable(str(error))})", hint) from error


def _read_made(run: Path, decision: dict[str, Any]) -> dict[str, Any]:
    """What run.json says of the data and folds, once it is known to be the decision's."""
    made, shape = read_run(run), {"segments": int, "positives": int, "without_pose": int, "fingerprint": str}
    data = made["data"]
    whole = all(type(data.get(key)) is kind for key, kind in shape.items()) and data["segments"] > 0
    if not whole or data != decision["data"]:
        raise DataError(run / "run.json", "is of other data than decision.json", "restore the run from a copy")
    return made


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    if not isinstance(manifest.get("versions"), dict):
        raise DataError(path, "names no versions", "restore it from a copy")
    return manifest


def model_card(run: Path) -> str:
    """The card of a finished run, from what is in its folder alone; the same run gives the same text.

    Raises DataError where a file is missing, damaged, or of another decision than the others.
    """
    decision, settings = _read_decision(run)
    made = _read_made(run, decision)
    result = read_figures(run, decision)
    answers = read_out_of_fold(run, result)
    manifests = {name: _read_manifest(MemberFolder(run / name).manifest) for name in decision["members"]}
    protocol = f"""\
How it was judged: {plain(result["protocol"])}

All figures are of the children of section 3, segment by segment, each scored by models that never saw the child. An
evaluation on children of another place is not part of this card."""
    sections = {
        "What it is": _what(decision, settings, manifests),
        "Intended use": INTENDED,
        "Training data": _training_data(made["data"]),
        "Protocol": protocol,
        "Results": _results(result, answers),
        "Calibration and threshold": _threshold(decision, result, answers),
        "Harms and risks": _risks(result["cross_fitted"]),
        "Missing and poor input, use and updating": _use(decision),
        "Technical": _technical(decision, files.sha256(run / "decision.json"), made["folds"], manifests),
        "Reporting guidelines": _guidelines(),
    }
    lines = [f"**{SIMULATED}**"] if made["data"]["simulated"] else []
    lines.append("# Model card: recognising infantile epileptic spasms from pose")
    lines += [f"## {place}. {title}\n\n{text}" for place, (title, text) in enumerate(sections.items(), 1)]
    return "\n\n".join(lines) + "\n"
