"""What a message says of a path that is not there."""

import pytest

from spasm.core.errors import DataError
from spasm.core.files import open_regular
from spasm.core.nearby import nearest_first, nearest_name, where_missing


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies/ward").mkdir(parents=True)
    (tmp_path / "studies/ward/spasms.csv").touch()
    (tmp_path / "studies/ward/.hidden").touch()
    (tmp_path / "studies/empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("studies/ward/spasm.csv", "did you mean {}/studies/ward/spasms.csv?"),
        ("studies/ward/Spasms.CSV", "did you mean {}/studies/ward/spasms.csv?"),
        ("studies/wrad/spasms.csv", "did you mean {}/studies/ward/spasms.csv?"),
        ("studis/ward/spasms.csv", "did you mean {}/studies/ward/spasms.csv?"),
        ("studies/wrad/other.csv", "did you mean {}/studies/ward?"),
        ("studies/ward/x", "{}/studies/ward holds spasms.csv; check the path"),
        ("studies/empty/spasms.csv", "{}/studies/empty is empty; check the path"),
        ("studies/ward/spasms.csv/x", "{}/studies/ward/spasms.csv is a file, not a folder; check the path"),
    ],
)
def test_a_missing_path_names_the_nearest_one_or_what_its_folder_holds(home, wrong, hint):
    assert where_missing(home / wrong) == hint.format(home)
    with pytest.raises(DataError) as caught, open_regular(home / wrong):
        pass
    assert caught.value.hint == hint.format(home)


def test_a_folder_where_a_file_is_expected_is_named_with_what_it_holds(home):
    with (
        pytest.raises(DataError, match=r"Is a directory .*ward holds spasms\.csv"),
        open_regular(home / "studies/ward"),
    ):
        pass


def test_the_nearest_name_is_asked_for_and_none_where_none_is_alike():
    assert nearest_name("Cohrt", ["cohort", "site"]) == "did you mean cohort?"
    assert nearest_name("xyz", ["cohort", "site"]) == ""
    assert nearest_name("xyz", []) == ""


def test_paths_are_sorted_by_how_alike_their_names_are(tmp_path):
    found = [tmp_path / name for name in ("demo", "mains", "other")]
    assert nearest_first(tmp_path / "mian", found)[0].name == "mains"
