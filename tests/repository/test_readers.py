"""Whatever bytes a file holds, its reader gives a result or one of our own errors, and runs nothing that is in it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.repository import ROOT

sys.path.append(str(ROOT / "stress"))

from readers import READERS, give

CORPUS = ROOT / "stress/corpus"
# Those of C libraries read in a process of their own.
NAMES = [pytest.param(name, marks=pytest.mark.command) if name in ("sleap", "islr") else name for name in READERS]
# What sends functions and their arguments to workers, and takes their results: by a connection, never from a file.
SENDER = ROOT / "src/spasm/cluster/tasks.py"
SOURCES = [*sorted((ROOT / "src").rglob("*.py")), ROOT / "submission.py", ROOT / "container.py"]


def corpus(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_fuzzer_kept_is_read_or_refused(name: str, tmp_path: Path) -> None:
    contents = corpus(name)
    assert contents
    for content in contents:
        give(READERS[name], content, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, originals = tmp_path_factory.mktemp(name), [content for content in corpus(name) if content]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def damaged(data: st.DataObject) -> None:
        content = bytearray(data.draw(st.sampled_from(originals)))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content)))
            end = data.draw(st.integers(at, min(len(content), at + 40)))
            content[at:end] = data.draw(st.binary(max_size=20))
        give(READERS[name], bytes(content), folder)

    damaged()


def test_the_corpus_stays_small_and_every_reader_has_one() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(READERS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 500_000


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Every call in a file: what is called, as written, and its named arguments."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: word.value for word in node.keywords if word.arg}


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_the_program_unpickles_or_runs_text_as_code(path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
        + ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }
    sent = {"pickle", "cloudpickle"} if path == SENDER else set()
    assert not imported & {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"} - sent
    for called, named in calls(path):
        assert called not in {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "joblib.load"}, called
        assert not called.endswith(".loads") or called == "json.loads" or path.parent == SENDER.parent, called
        assert called not in {"pickle.load", "cloudpickle.load", "ForkingPickler.load"}, called
        assert not called.endswith((".read_pickle", ".to_pickle", ".load_module")), called
        assert "shell" not in named, called
        assert "allow_pickle" not in named or not is_true(named["allow_pickle"]), called
        if called == "torch.load":
            assert is_true(named.get("weights_only"))
        if called in {"np.load", "numpy.load"}:
            assert isinstance(named.get("allow_pickle"), ast.Constant), "say allow_pickle=False"
