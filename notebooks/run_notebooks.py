"""Run notebooks, all of them if none is named, and store them with their pictures, without times and versions.

Example: SPASM_RUN=output/demo python notebooks/run_notebooks.py notebooks/02_errors.ipynb
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

COLOURS = 128  # of a stored picture: a third of the bytes


def execute(path: Path, *more: str) -> nbformat.NotebookNode:
    """A notebook, run in its folder in a new process; more: code of further cells. Raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in more]
    client = NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(path.parent)}})
    return client.execute()


def strip_outputs(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what differs between two executions, and with smaller pictures."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = {}, f"cell-{number}"
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = shrink(output.data["image/png"])
    return notebook


def shrink(picture: str) -> str:
    """The same PNG, as base64, in fewer colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    with io.BytesIO() as file:
        image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or sorted(Path(__file__).parent.glob("*.ipynb"))):
        nbformat.write(strip_outputs(execute(path)), path)
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")
