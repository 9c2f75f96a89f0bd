"""Labelled data to evaluate on: a review stands in for the table of true events."""

import pytest

from spasm.core.errors import DataError
from spasm.inference.labelled_data import read_recordings
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig


def test_a_review_beside_recordings_is_their_table_of_true_events_where_there_is_no_other(tmp_path):
    data = tmp_path / "data"
    dataset_writer.write_dataset(data, 4, 1, 17, SimulationConfig(frames=60), recordings=1, minutes=1.0, workers=1)
    (data / "events.csv").unlink()
    header = "recording,onset_s,offset_s,type,decision,origin"
    rows = ["child_1_1.npy,20,21,spasm,accepted,added", "child_1_1.npy,40,41,crying,rejected,added"]
    (data / "review.csv").write_text("\n".join([header, *rows]) + "\n")
    assert read_recordings(data).true["child_1_1.npy"].tolist() == [[20, 21]]
    (data / "events.csv").write_text("recording,onset_s,offset_s\nchild_1_1.npy,5,6\n")
    assert read_recordings(data).true["child_1_1.npy"].tolist() == [[5, 6]]


def test_a_folder_of_reviews_beside_recordings_is_read_whole_and_never_beside_another_review(tmp_path):
    data = tmp_path / "data"
    dataset_writer.write_dataset(data, 4, 1, 17, SimulationConfig(frames=60), recordings=2, minutes=1.0, workers=1)
    (data / "events.csv").unlink()
    (data / "reviews").mkdir()
    for child in (1, 2):
        row = f"child_{child}_1.npy,{10 * child},{10 * child + 1},accepted"
        (data / f"reviews/{child}.csv").write_text(f"recording,onset_s,offset_s,decision\n{row}\n")
    true = read_recordings(data).true
    assert [true[f"child_{child}_1.npy"].tolist() for child in (1, 2)] == [[[10, 11]], [[20, 21]]]
    (data / "review.csv").write_text("recording,onset_s,offset_s,decision\n")
    with pytest.raises(DataError, match=r"has review\.csv and the folder reviews/"):
        read_recordings(data)
