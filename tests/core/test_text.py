"""Names of files that UTF-8 cannot hold, in files, on terminals and in commands to copy."""

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spasm.core import files
from spasm.core.text import escape_output, path_of_text, shell_words, text_of_path

NAMES = [b"donn\xe9es", b"\xff\xfe", b"caf\xc3\xa9", b"\xe6\x96\x87", b"plain", b"it's\xe9 $HOME", b"tab\tand\\\xe9"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_of_any_bytes_comes_back_from_a_file(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    files.write_json(tmp_path / "x.json", {"path": text_of_path(path)})
    text = (tmp_path / "x.json").read_bytes().decode("utf-8", "strict")
    assert max(text) < "\ud800", "no lone surrogate, which strict readers refuse"
    assert path_of_text(files.read_json(tmp_path / "x.json")["path"]) == path


def test_text_with_lone_surrogates_is_written_as_valid_utf8(tmp_path):
    files.write_json(tmp_path / "x.json", {"a\udce9": ["\udcff"]})
    assert files.read_json(tmp_path / "x.json") == {"a\\udce9": ["\\udcff"]}
    files.write_csv(tmp_path / "x.csv", ("name",), [("b\udce9",)])
    assert (tmp_path / "x.csv").read_bytes() == b"name\nb\\udce9\n"
    files.write_text(tmp_path / "x.txt", "c\udce9 \u6587")
    assert (tmp_path / "x.txt").read_bytes() == "c\\udce9 \u6587".encode()


@pytest.mark.command
@pytest.mark.skipif(os.name == "nt", reason="bash reads the words")
@pytest.mark.parametrize("name", [*NAMES, b"new\nline", b"a b"])
def test_a_command_that_is_shown_can_be_copied_into_bash(tmp_path, name):
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(b"found")
    words = shell_words(os.fsdecode(path))
    assert words.isprintable()
    shown = subprocess.run(["bash", "-c", b"cat " + os.fsencode(words)], capture_output=True, check=True)
    assert shown.stdout == b"found"


def test_plain_words_are_quoted_as_ever():
    words = ["--data", "my data", "x'y", ""]
    assert shell_words(*words) == shlex.join(words)


def test_a_terminal_that_cannot_show_a_character_gets_an_escape(monkeypatch):
    for encoding, shown in (("ascii", b"\\xe9 \\u6587 \\udce9"), ("latin-1", b"\xe9 \\u6587 \\udce9")):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        escape_output()
        print("\u00e9 \u6587 \udce9", end="", flush=True)
        assert raw.getvalue() == shown
