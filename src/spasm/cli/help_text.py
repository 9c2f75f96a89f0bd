"""The help of a script: what it does, examples, common flags, then advanced ones, then those of its groups."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence

from spasm.cli.flags import Flag, Group

INDENT = "  "
COLUMN = 26  # where the texts of flags begin
WIDEST = 110


def help_text(
    command: str, description: str, flags: Sequence[Flag], groups: Sequence[Group], named: Sequence[str] = ()
) -> str:
    """The whole text. named: groups to show in full although they are brief otherwise, such as models."""
    width = min(WIDEST, max(60, shutil.get_terminal_size().columns))
    plain = [flag for flag in flags if not flag.group]
    words = [f"[{flag.name} ...]" for flag in plain if flag.is_positional]
    lines = [" ".join(["usage:", command, *words, "[flags]"]), ""]
    lines += _paragraphs(description, width)
    lines += ["", "options:"]
    for flag in plain:
        if not flag.shown.advanced:
            lines += _rows(flag, width)
    lines += _row(
        "--settings FILE", "Take settings from a JSON file, such as a model's manifest.json; flags win over it.", width
    )
    lines += _row("-h, --help", "Show this text.", width)
    advanced = [flag for flag in plain if flag.shown.advanced]
    if advanced:
        lines += ["", "advanced options:", *(line for flag in advanced for line in _rows(flag, width))]
    for group in groups:
        of_group = [flag for flag in flags if flag.group == group.name]
        brief = group.shown.brief and group.name.replace("-", "_") not in named
        if brief:
            name = group.name.replace("-", "_")
            how = f"--{group.name}.NAME VALUE; the defaults, explained by --help --models {name}:"
            head = f"{group.name}: {group.text} {how}"
            lines += ["", *textwrap.wrap(head, width, break_on_hyphens=False)]
            lines += _brief(of_group, width)
        else:
            lines += ["", f"{group.name}: {group.text}", *(line for flag in of_group for line in _rows(flag, width))]
    return "\n".join(lines)


def _paragraphs(text: str, width: int) -> list[str]:
    """Paragraphs, each as wide as the terminal; lines that are indented, such as examples, stay as they are."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        words: list[str] = []
        for line in [*paragraph.split("\n"), INDENT]:
            if line.startswith(INDENT):
                lines += textwrap.wrap(" ".join(words), width)
                words = []
                lines += [line] * bool(line.strip())
            else:
                words.append(line)
        lines.append("")
    return lines[:-1]


def _rows(flag: Flag, width: int) -> Iterator[str]:
    head = f"{flag.name} {flag.value}".strip()
    if flag.kind is bool:
        head = f"{flag.name}, {flag.negative}" if flag.default else flag.name
    if flag.is_positional:
        return _row(flag.name, flag.text, width)
    return _row(head, f"{flag.text} (default: {flag.default_text})", width)


def _row(head: str, text: str, width: int) -> Iterator[str]:
    """A flag in the left column, and what it does in the right one."""
    wrapped = textwrap.wrap(text, width - COLUMN, break_on_hyphens=False, break_long_words=False)
    if len(head) <= COLUMN - len(INDENT) - 2:
        yield f"{INDENT}{head:{COLUMN - len(INDENT)}}{wrapped[0]}"
        wrapped = wrapped[1:]
    else:
        yield f"{INDENT}{head}"
    yield from (" " * COLUMN + line for line in wrapped)


def _brief(flags: Sequence[Flag], width: int) -> list[str]:
    """Names and defaults alone, in running lines."""
    words = [f"{flag.leaf} {flag.default_text}".replace(" ", "\0") for flag in flags]
    text = textwrap.fill(
        ", ".join(words), width, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
    )
    return text.replace("\0", " ").split("\n")
