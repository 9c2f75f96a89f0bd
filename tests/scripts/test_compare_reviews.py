"""compare_reviews.py: two reviews become metrics, a table to discuss, and clear refusals."""

import json
import re

import pytest

from helpers.commands import code_of
from helpers.repository import ROOT
from helpers.tables import table
from spasm.data.reviews import COLUMNS

HEADER = ",".join(COLUMNS)
A = (
    "child_1_1.npy,10.2,11.0,spasm,accepted,detected,10.00,11.00,0.99,anna,",
    "child_1_1.npy,20,21,startle,rejected,detected,20.00,21.00,0.97,anna,door slams",
    "child_1_1.npy,30,31,crying,rejected,detected,30.00,31.00,0.95,anna,",
    "child_1_1.npy,40,41,,unreviewed,detected,40.00,41.00,0.94,anna,",
    "child_2_1.npy,50,51,spasm,accepted,added,,,,anna,'=faint",
    "child_2_1.npy,70,71,spasm,accepted,detected,70.00,71.00,0.93,anna,",
    "child_9_1.npy,70,71,spasm,accepted,detected,70.00,71.00,0.93,anna,",
)
B = (
    "child_1_1.npy,10.0,11.0,spasm,accepted,detected,10.00,11.00,0.99,ben,",
    "child_1_1.npy,20.1,21,spasm,accepted,detected,20.00,21.00,0.97,ben,a spasm on the sound",
    "child_1_1.npy,30,31,caregiver,rejected,detected,30.00,31.00,0.95,ben,",
    "child_1_1.npy,40,41,moro,rejected,detected,40.00,41.00,0.94,ben,",
    "child_2_1.npy,70,73.5,spasm,accepted,detected,70.00,71.00,0.93,ben,",
)


@pytest.fixture
def compare(tmp_path, capsys):
    """Writes two reviews and compares them; gives exit code, stdout and stderr."""

    def run(a=A, b=B, header=HEADER):
        for name, rows in (("a.csv", a), ("b.csv", b)):
            (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        code = code_of("compare_reviews", tmp_path / "a.csv", tmp_path / "b.csv", "--out", tmp_path / "out")
        return code, *capsys.readouterr()

    return run


def test_two_reviews_become_an_agreement_and_a_table_to_discuss(compare, tmp_path):
    code, shown, errors = compare()
    assert code == 0, errors
    assert "a.csv: 1 recordings are not in the other review and are left out: child_9_1.npy" in errors
    found = json.loads((tmp_path / "out/agreement.json").read_text())
    assert found["recordings_only_in_a"] == ["child_9_1.npy"] and found["children"] == 2
    decision = found["decision"]
    assert [decision[name] for name in ("both_accepted", "only_b_accepted", "both_rejected")] == [2, 1, 1]
    assert decision["agreement"]["value"] == 0.75
    assert found["times_of_accepted"]["offset_s"]["events"] == 2
    rows = table(tmp_path / "out/disagreements.csv")
    assert [row["about"] for row in rows] == ["decision", "type", "only in a", "times"]
    first = rows[0]
    assert (first["a_decision"], first["a_note"], first["b_type"], first["b_note"]) == (
        "rejected", "door slams", "spasm", "a spasm on the sound",
    )  # fmt: skip
    assert rows[2]["a_note"] == "'=faint" and rows[2]["b_decision"] == ""
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs/output.md").read_text(encoding="utf-8")))
    assert set(first) <= explained
    assert (tmp_path / "out/differences.png").read_bytes().startswith(b"\x89PNG")
    assert "4 detected events" not in shown and "5 detected events of 2 recordings and 2 children" in shown
    assert compare()[0] == 0, "what this command wrote is replaced"


def test_two_folders_with_a_review_of_each_recording_are_compared_as_two_reviews_are(compare, tmp_path):
    assert compare()[0] == 0
    for name, rows in (("anna", A), ("ben", B)):
        (tmp_path / name).mkdir()
        for recording in sorted({row.split(",")[0] for row in rows}):
            own = [row for row in rows if row.startswith(recording)]
            (tmp_path / name / f"review_{recording}.csv").write_text("\n".join([HEADER, *own]) + "\n")
    words = (tmp_path / "anna", tmp_path / "ben", "--out", tmp_path / "folders")
    assert code_of("compare_reviews", *words) == 0
    one, two = ((tmp_path / out / "disagreements.csv").read_bytes() for out in ("out", "folders"))
    assert one == two
    (tmp_path / "ben/again.csv").write_text(f"{HEADER}\n{B[0]}\n")
    assert code_of("compare_reviews", *words) == 1


def test_the_same_file_twice_is_a_warning(compare):
    code, shown, errors = compare(A, A)
    assert code == 0
    assert "the same content as" in errors and "give the second reviewer's file" in errors
    assert re.search(r"kappa +1\.000", shown)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"b": ["child_3_1.npy,70,71,spasm,accepted,added,,,,ben,"]}, "no recording in common with"),
        ({"header": "recording,onset_s,offset_s,type", "a": [], "b": []}, "no column decision, origin"),
        ({"a": [A[0], A[0]]}, "line 3: the event of line 2 again"),
        ({"a": [A[0].replace("10.00,11.00", ",")]}, "line 2: a detected event without detected times"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(compare, tmp_path, flags, words):
    code, _, errors = compare(**flags)
    assert code == 1
    assert words in errors
    assert not list((tmp_path / "out").glob("*.csv"))


def test_an_event_that_was_added_twice_is_one_and_a_warning(compare, tmp_path):
    assert compare()[0] == 0
    once = (tmp_path / "out/disagreements.csv").read_bytes(), (tmp_path / "out/agreement.json").read_text()
    cleared = A[4].replace("spasm,accepted", ",unreviewed")
    code, _, errors = compare(a=(*A[:4], cleared, *A[4:6], A[4], A[6]))
    assert code == 0
    assert "a.csv: line 9: has" not in errors and "a.csv: line 9 has the times of line 7 (they count as one" in errors
    found = json.loads((tmp_path / "out/agreement.json").read_text())
    found["a"]["sha256"] = json.loads(once[1])["a"]["sha256"]
    assert found == json.loads(once[1])
    assert (tmp_path / "out/disagreements.csv").read_bytes() == once[0]
    code, _, errors = compare(a=(*A, A[4].replace("spasm,accepted", "crying,rejected")))
    assert code == 1
    assert "line 9 has the times of line 6, where the decision is accepted and not rejected" in errors


def test_one_review_alone_is_a_wrong_usage(tmp_path, capsys):
    assert code_of("compare_reviews", tmp_path / "a.csv", "--out", tmp_path / "out") == 2
    assert "two reviews are compared, and 1 are named; give both files" in capsys.readouterr().err


def test_a_table_of_the_user_is_not_replaced(compare, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/disagreements.csv").write_text("mine\n")
    code, _, errors = compare()
    assert code == 1
    assert "is not a table of disagreements of this software" in errors
    assert (tmp_path / "out/disagreements.csv").read_text() == "mine\n"
