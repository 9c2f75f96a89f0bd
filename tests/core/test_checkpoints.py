"""Tensors on disk: equal bytes for equal tensors, no code, and no changed bit that goes unnoticed."""

import os
import pickle
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.segments import SOURCE
from spasm.core.checkpoints import DIGEST, read_state_dict, read_tensors, write_tensors
from spasm.core.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch, on files that are refused

SAMPLE = """
import torch
generator = torch.Generator().manual_seed(5)
SAMPLE = {
    "weight": torch.randn(3, 4, generator=generator),
    "half": torch.randn(5, generator=generator).bfloat16(),
    "count": torch.tensor(7),
    "offset": torch.tensor(-0.5, dtype=torch.float64),
    "none": torch.zeros(0, 3),
    "flags": torch.tensor([True, False]),
}
"""
scope: dict = {}
exec(SAMPLE, scope)  # the same text makes the tensors in the other process
TENSORS = scope["SAMPLE"]


def equal(left: dict, right: dict) -> bool:
    return set(left) == set(right) and all(
        left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left
    )


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "fold_0.pt"
    write_tensors(path, TENSORS)
    return path


def test_tensors_come_back_as_they_were_written(written):
    assert equal(read_tensors(written), TENSORS)


def test_equal_tensors_give_equal_bytes_at_any_path_and_in_any_process(written, tmp_path):
    write_tensors(tmp_path / "elsewhere/another_name.pt", {name: value.clone() for name, value in TENSORS.items()})
    assert (tmp_path / "elsewhere/another_name.pt").read_bytes() == written.read_bytes()

    code = f"""
import sys; sys.path.insert(0, {str(SOURCE)!r})
from pathlib import Path
from spasm.core.checkpoints import write_tensors
{SAMPLE}
write_tensors(Path(sys.argv[1]), SAMPLE)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "third.pt")], check=True)
    assert (tmp_path / "third.pt").read_bytes() == written.read_bytes()


def test_a_copied_name_gives_the_bytes_of_the_name_itself(written, tmp_path):
    copied = {"".join(list(name)): value for name, value in TENSORS.items()}
    write_tensors(tmp_path / "copied.pt", copied)
    assert (tmp_path / "copied.pt").read_bytes() == written.read_bytes()


def test_a_flipped_bit_is_noticed_or_changes_no_tensor(written):
    content = written.read_bytes()
    noticed = 0
    random = np.random.default_rng(0)
    for position in random.choice(len(content), min(len(content), 600), replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << random.integers(8)
        written.write_bytes(damaged)
        try:
            tensors = read_tensors(written)
        except DataError as error:
            assert error.path == written
            noticed += 1
        else:
            assert equal(tensors, TENSORS), f"byte {position}"
    assert noticed > 50


def test_every_flipped_byte_of_the_values_is_noticed(tmp_path):
    values = torch.arange(64, dtype=torch.uint8) + 100
    write_tensors(tmp_path / "a.pt", {"values": values})
    content = (tmp_path / "a.pt").read_bytes()
    start = content.index(bytes(values.numpy()))
    for position in range(start, start + 64):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        (tmp_path / "a.pt").write_bytes(damaged)
        with pytest.raises(DataError):
            read_tensors(tmp_path / "a.pt")


def test_a_checkpoint_that_was_cut_short_is_refused(written):
    content = written.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        written.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"fold_0\.pt"):
            read_tensors(written)


class Payload:
    """Pickled code: whoever loads it makes a folder."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize(
    "save",
    [torch.save, lambda tree, path: torch.save(tree, path, _use_new_zipfile_serialization=False),
     lambda tree, path: path.write_bytes(pickle.dumps(tree))],
    ids=["zip", "legacy", "pickle"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["value", "whole", "name"])
def test_a_checkpoint_with_code_is_refused_and_the_code_never_runs(tmp_path, save, place):
    trace = tmp_path / "it ran"
    payload = Payload(trace)
    save({"value": {"w": payload}, "whole": payload, "name": {payload: torch.ones(1)}}[place], tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: is not a whole checkpoint"):
        read_tensors(tmp_path / "a.pt")
    assert not trace.exists()
    with open(tmp_path / "control", "wb") as file:
        pickle.dump(payload, file)
    pickle.loads((tmp_path / "control").read_bytes())
    assert trace.exists(), "the test is void unless the payload works"


ONES = torch.ones(2)


@pytest.mark.parametrize(
    "tree",
    [
        [ONES],
        ONES,
        7,
        {},
        {"w": ONES},
        {"w": 1, DIGEST: ONES},
        {1: ONES, DIGEST: ONES},
        {"w": {"below": ONES}, DIGEST: ONES},
        {"w": ONES, DIGEST: ONES},
        {"w": ONES, DIGEST: torch.zeros(32, dtype=torch.uint8)},
        {"w": ONES, DIGEST: torch.zeros(31, dtype=torch.uint8)},
        {"w": ONES, DIGEST: torch.eye(2).to_sparse()},
        {"w": torch.eye(2).to_sparse(), DIGEST: torch.zeros(32, dtype=torch.uint8)},
        {"w": torch.empty(2, device="meta"), DIGEST: torch.zeros(32, dtype=torch.uint8)},
        {"w": np.float64(1), DIGEST: torch.zeros(32, dtype=torch.uint8)},
        {"w": np.random.RandomState(0).get_state(), DIGEST: torch.zeros(32, dtype=torch.uint8)},
        {"w": torch.ones(1).expand(10**13), DIGEST: torch.zeros(32, dtype=torch.uint8)},
        {"w": torch.ones(1).expand(10**9, 5), DIGEST: torch.zeros(32, dtype=torch.uint8)},
    ],
    ids=["list", "tensor", "number", "empty", "no-digest", "number-in-it", "number-as-name", "nested", "float-digest",
         "wrong-digest", "short-digest", "sparse-digest", "sparse", "meta", "numpys-number", "numpys-state",
         "terabytes", "gigabytes"],
)  # fmt: skip
def test_anything_else_that_torch_can_load_is_refused_by_name(tmp_path, tree):
    torch.save(tree, tmp_path / "a.pt")
    with pytest.raises(DataError) as caught:
        read_tensors(tmp_path / "a.pt")
    assert caught.value.path == tmp_path / "a.pt"
    assert caught.value.hint


def test_a_checkpoint_that_would_unpack_to_gigabytes_is_refused_before_memory_is_taken(tmp_path):
    write_tensors(tmp_path / "a.pt", {"w": ONES})
    for packed in ("archive/data.pkl", "archive/data/0"):
        with (
            zipfile.ZipFile(tmp_path / "a.pt") as whole,
            zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
        ):
            for name in whole.namelist():
                with bomb.open(name, "w") as file:
                    file.write(whole.read(name))
                    for _ in range(700 if name == packed else 0):
                        file.write(bytes(1 << 20))
        assert (tmp_path / "bomb.pt").stat().st_size < 1 << 21
        for read in (read_tensors, read_state_dict):
            with pytest.raises(DataError, match=r"bomb\.pt: .*: it would unpack to more than its size"):
                read(tmp_path / "bomb.pt")


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.pt: cannot be read"):
        read_tensors(tmp_path / "absent.pt")


def test_the_required_torch_is_one_whose_safe_loading_has_no_known_hole():
    required = (Path(__file__).parents[2] / "requirements.txt").read_text()
    (exactly,) = re.findall(r"^torch==(\S+)$", required, re.MULTILINE)
    assert tuple(map(int, exactly.split(".")[:2])) >= (2, 10)
    assert version("torch").split("+")[0] == exactly
