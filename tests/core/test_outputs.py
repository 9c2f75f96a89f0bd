"""An output never takes the place of an input, of a run, or of a file that the command did not write."""

from pathlib import Path

import pytest

from spasm.core.errors import DataError
from spasm.core.outputs import PNG, READ_BY_NAME, check_folder, check_name, check_replaceable


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", [*READ_BY_NAME, "Train_Data.CSV"])
def test_a_result_has_no_name_that_commands_read(tmp_path, name):
    with pytest.raises(DataError, match="has the name of a table"):
        check_name(tmp_path / name)


def test_other_names_are_free(tmp_path):
    for name in ("submission.csv", "train_data_predicted.csv", "test_data.csv"):
        check_name(tmp_path / name)


def test_a_file_is_replaced_by_one_of_its_own_kind_alone(tmp_path):
    check_replaceable(tmp_path / "new.png", PNG, "a PNG")
    check_replaceable(touch(tmp_path / "old.png", PNG + b"pixels"), PNG, "a PNG")
    for content in (b"", b"GIF89a", PNG[:4]):
        with pytest.raises(DataError, match="is there and is not a PNG of this software; nothing was written"):
            check_replaceable(touch(tmp_path / "other.png", content), PNG, "a PNG")
    with pytest.raises(DataError, match="is a folder"):
        check_replaceable(tmp_path, PNG, "a PNG")


@pytest.mark.parametrize("held", ["train_data.csv", "train/child_1_1.npy", "run.json"])
def test_a_data_folder_and_a_run_are_no_place_for_results(tmp_path, held):
    touch(tmp_path / "out" / held)
    with pytest.raises(DataError, match="nothing was written"):
        check_folder(tmp_path / "out")
    check_folder(tmp_path / "out/results")


def test_a_file_where_a_folder_is_to_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match="is a file, not a folder"):
        check_folder(touch(tmp_path / "out"))


def test_a_file_that_the_command_would_replace_is_its_own_only_beside_its_mark(tmp_path):
    table = touch(tmp_path / "out/table.csv")
    with pytest.raises(DataError, match="this command did not write it") as caught:
        check_folder(tmp_path / "out", ("table.md", "table.csv"), "run/run.json")
    assert caught.value.path == table
    touch(tmp_path / "out/run/run.json")
    check_folder(tmp_path / "out", ("table.md", "table.csv"), "run/run.json")
    check_folder(tmp_path / "new", ("table.md", "table.csv"), "run/run.json")
