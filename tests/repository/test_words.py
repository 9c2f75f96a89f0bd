"""Plain words: `codespell` refuses the words of docs/words.txt and common spelling mistakes, also inside names."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.repository import ROOT

WORDS = [line.split("->")[0] for line in (ROOT / "docs/words.txt").read_text(encoding="utf-8").splitlines()]


def codespell(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run codespell with the repository's configuration."""
    command = [sys.executable, "-m", "codespell_lib", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def refused(path: Path) -> list[str]:
    """The words of a file that codespell refuses, in lower case."""
    lines = codespell(path).stdout.splitlines()
    return [line.split(": ", 1)[1].split(" ==>")[0].lower() for line in lines if " ==> " in line]


@pytest.mark.command
def test_the_repository_has_no_refused_word():
    assert codespell().stdout == ""


@pytest.mark.command
def test_every_word_is_refused_in_a_sentence_and_in_names(tmp_path):
    assert len(WORDS) == len(set(WORDS)) > 25
    for name, text in (
        ("sentence.md", "The model has {word} something.\n"),
        ("capital.md", "{Word} something.\n"),
        ("snake.py", "{word}_at = x_{word}_y = 0\n"),
        ("camel.js", "let is{Word} = {word}Now;\n"),
        ("upper.py", "MOST_{WORD} = 0\n"),
    ):
        content = "".join(text.format(word=word, Word=word.capitalize(), WORD=word.upper()) for word in WORDS)
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert set(refused(tmp_path / name)) == set(WORDS), name


@pytest.mark.command
def test_a_spelling_mistake_is_refused(tmp_path):
    mistake = "seper" + "ate"  # in two parts, because this file is checked too
    (tmp_path / "mistake.md").write_text(f"A {mistake} file.\n", encoding="utf-8")
    assert refused(tmp_path / "mistake.md") == [mistake]


@pytest.mark.command
def test_longer_words_and_pictures_in_notebooks_are_accepted(tmp_path):
    (tmp_path / "longer.md").write_text("The remember_me flag, retold and unanswered.\n", encoding="utf-8")
    (tmp_path / "picture.ipynb").write_text('"image/png": "' + f"iVBOR{WORDS[0]}w0KGgo+" * 10 + '"\n', encoding="utf-8")
    assert refused(tmp_path / "longer.md") == []
    assert refused(tmp_path / "picture.ipynb") == []
