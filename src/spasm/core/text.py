r"""Names of files in text: a name is any bytes, and UTF-8, a terminal and a shell cannot hold all of them.

Python holds the bytes of a name that its locale cannot decode as lone surrogates (PEP 383). Text in a file is UTF-8;
there such a byte is written as `\udcXX`, in ASCII, so that the file is valid and the name is not lost.
"""

import os
import re
import shlex
import sys
from pathlib import Path

MOST_DIGITS = 18  # of a number in a name; a longer one is text
LONE_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")


def utf8(text: str) -> bytes:
    r"""Text in UTF-8; what UTF-8 cannot hold is escaped as `\udcXX`."""
    return text.encode("utf-8", "backslashreplace")


def text_of_path(path: Path | str) -> str:
    """A path as text for a file: the same in every locale."""
    return utf8(os.fsencode(path).decode("utf-8", "surrogateescape")).decode()


def path_of_text(text: str) -> Path:
    """The path that `text_of_path` wrote, in this process's locale."""
    escaped = LONE_BYTE.sub(lambda match: chr(0xDC00 + int(match[1], 16)), text)
    return Path(os.fsdecode(escaped.encode("utf-8", "surrogateescape")))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names by the numbers in them: frame_2 before frame_12."""
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(part), "") if part.isdecimal() and len(part) <= MOST_DIGITS else (0, 0, part) for part in parts]


def shell_words(*words: object) -> str:
    r"""Words of a command to copy into a shell; bytes that are no text stand as $'\xe9', as bash and zsh read them."""
    return " ".join(_shell_word(str(word)) for word in words)


def _shell_word(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    raw = os.fsencode(word)
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in raw)
    return f"$'{''.join(plain)}'"


def escape_output() -> None:
    """Let stdout and stderr escape what the terminal cannot show, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
