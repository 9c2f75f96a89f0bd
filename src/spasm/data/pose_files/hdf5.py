"""SLEAP's analysis HDF5: `tracks`, `point_scores`, `node_names`, in pixels, NaN: not found.

Axes as SLEAP writes them, (tracks, 2, nodes, frames), or as the attribute `dims` of `tracks` says (other presets of
sleap-io): https://io.sleap.ai/latest/formats/, "Analysis HDF5".

An HDF5 file may name other files, ask for code to unpack it, or claim terabytes. Only arrays that lie in the file are
read, in a process of its own, since damaged files crash the library.
DeepLabCut's HDF5 holds pickles, and SLEAP's .slp holds labels and pictures: both are refused with what to export.
"""

import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.processes import run_apart
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import title_of

SIGNATURE = b"\x89HDF\r\n\x1a\n"
OFFSETS = (0, 512, 1024, 2048)  # where it may stand, after a block of other bytes
DIMS = ("frame", "track", "node", "xy")
SLEAP_ORDER = ("track", "xy", "node", "frame")
MOST_CELLS = 1_000_000_000  # of an array; it is read in blocks
BLOCK_BYTES = 64 << 20
HIGHEST_COMPRESSION = 1100  # of deflate; more was never written and would be filled with one value
MOST_NAMES, LONGEST_NAME = 2000, 1000
# Ways to unpack that the library brings itself: deflate, shuffle, fletcher32, szip, lzf. Any other would load a plugin.
FILTERS = {1, 2, 3, 4, 32000}
EXPORT = "in SLEAP: File > Export Analysis HDF5; or sleap-io: save_analysis_h5"
DAMAGED = "export it again"


def recognised(path: Path, head: bytes) -> bool:
    return any(head[offset : offset + 8] == SIGNATURE for offset in OFFSETS)


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    return run_apart(path, read_here, path)


def read_here(path: Path) -> PoseFile:
    """As `read`, in this process, which a damaged file may crash."""
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # no plugin is loaded, wherever it lies
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise DataError(path, "is HDF5", "to read it: pip install -r requirements-poses.txt") from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _read(path, file)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the library raises almost any for a damaged file
        raise DataError(path, f"is damaged HDF5: {shorten(str(error))}", DAMAGED) from error


def _read(path: Path, file: Any) -> PoseFile:
    tracks = _array(path, file, "tracks")
    nodes = _array(path, file, "node_names")
    if tracks is None or nodes is None:
        raise _unknown(path, file)
    names = _names(path, nodes)
    order = _order(path, tracks, len(names))
    shape = dict(zip(order, tracks.shape, strict=True))
    scores = _array(path, file, "point_scores")
    score_order = tuple(dim for dim in order if dim != "xy")
    if scores is not None and scores.shape != tuple(shape[dim] for dim in score_order):
        raise DataError(path, f"tracks has shape {tracks.shape}, point_scores {scores.shape}", DAMAGED)
    poses, frames, ids = [np.empty((0, len(names), len(CHANNELS)))], [np.empty(0, int)], [np.empty(0, int)]
    rows = 0
    for first, block in _blocks(tracks, order):
        frame, track = np.nonzero(np.isfinite(block).all(axis=3).any(axis=2))
        found = np.full((len(frame), len(names), len(CHANNELS)), np.nan)
        found[..., :2] = block[frame, track]
        if scores is not None:
            found[..., 3] = _block(scores, score_order, first, first + len(block))[frame, track]
        poses, frames, ids = [*poses, found], [*frames, first + frame], [*ids, track]
        rows += len(frame)
        placing.check_size(path, rows, 1, len(names))
    placed = placing.place(path, np.concatenate(poses), np.concatenate(frames), np.concatenate(ids))
    notes = placing.without_marks(placed.poses)
    placing.fill_confidence(placed.poses)
    return PoseFile(f"SLEAP, {title_of(names)}", names, placed.poses, "pixels", 0.0, ids=placed.ids, notes=tuple(notes))


# ---- arrays in the file itself


def _array(path: Path, file: Any, name: str) -> Any | None:
    """An array of the outermost group, or None. Raises DataError for one that leaves the file or is huge."""
    import h5py

    if not file.id.links.exists(name.encode()):
        return None
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise DataError(path, f"{name} is a link to another place, which is not followed", EXPORT)
    if file.get(name, getclass=True) is not h5py.Dataset:
        return None
    found = file[name]
    plan = found.id.get_create_plist()
    if plan.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED, h5py.h5d.COMPACT) or plan.get_external_count():
        raise DataError(path, f"{name} lies in another file, which is not opened", EXPORT)
    used = {plan.get_filter(number)[0] for number in range(plan.get_nfilters())}
    if not used <= FILTERS:
        number = min(used - FILTERS)
        raise DataError(path, f"{name} is compressed in an unknown way (filter {number})", f"without it, {EXPORT}")
    chunk = math.prod(found.chunks or (0,)) * found.dtype.itemsize
    if found.shape is None or math.prod(found.shape) > MOST_CELLS or chunk > BLOCK_BYTES:
        raise DataError(path, f"{name} claims shape {shorten(found.shape)}, too large", "export shorter videos")
    held, claimed = found.id.get_storage_size(), math.prod(found.shape) * found.dtype.itemsize
    if claimed > max(BLOCK_BYTES, HIGHEST_COMPRESSION * held):
        raise DataError(path, f"{name} claims {claimed} bytes of values and holds {held}", DAMAGED)
    return found


def _names(path: Path, nodes: Any) -> tuple[str, ...]:
    import h5py

    text = h5py.check_string_dtype(nodes.dtype)
    if text is None or nodes.ndim != 1 or not 0 < len(nodes) <= MOST_NAMES or (text.length or 0) > LONGEST_NAME:
        raise DataError(path, "node_names is no list of names", EXPORT)
    names = [bytes(name).decode(errors="replace") for name in nodes[:]]
    if max(map(len, names)) > LONGEST_NAME:
        raise DataError(path, "node_names holds a huge name", DAMAGED)
    return tuple(names)


def _order(path: Path, tracks: Any, nodes: int) -> tuple[str, ...]:
    """What the axes of `tracks` are, from its attribute `dims` or its shape."""
    import h5py

    shape = tracks.shape
    if tracks.dtype.kind != "f" or len(shape) != 4:
        raise DataError(path, f"tracks has shape {shorten(shape)} and type {tracks.dtype}", EXPORT)
    fitting: list[tuple[str, ...]] = [SLEAP_ORDER, DIMS, ("frame", "node", "xy", "track")]
    if "dims" in tracks.attrs:
        attribute = tracks.attrs.get_id("dims")
        if attribute.shape != () or h5py.check_string_dtype(attribute.dtype) is None:
            raise DataError(path, "the attribute dims of tracks is no text", EXPORT)
        named = json.loads(str(tracks.attrs["dims"])[:LONGEST_NAME])
        if not isinstance(named, list) or sorted(map(str, named)) != sorted(DIMS):
            raise DataError(path, f"the attribute dims of tracks is {shorten(named)}", EXPORT)
        fitting = [tuple(named)]
    fitting = [order for order in fitting if shape[order.index("xy")] == 2 and shape[order.index("node")] == nodes]
    if not fitting:
        reason = f"tracks has shape {shorten(shape)}; no order of its axes fits {nodes} nodes with x and y"
        raise DataError(path, reason, EXPORT)
    return fitting[0]


def _blocks(tracks: Any, order: Sequence[str]) -> Any:
    """Parts of `tracks` (f, tracks, nodes, 2) float64 with the number of their first frame."""
    axis = order.index("frame")
    frames = tracks.shape[axis]
    per_frame = 8 * max(1, math.prod(tracks.shape) // max(1, frames))
    step = max(1, BLOCK_BYTES // per_frame)
    if tracks.chunks:  # a chunk that two blocks share is unpacked twice
        step = max(step // tracks.chunks[axis], 1) * tracks.chunks[axis]
    for first in itertools.count(0, step):
        if first >= frames:
            return
        yield first, _block(tracks, order, first, min(first + step, frames))


def _block(array: Any, order: Sequence[str], first: int, end: int) -> np.ndarray:
    """Frames of an array with its axes in the order of DIMS, float64."""
    part = array[tuple(slice(first, end) if dim == "frame" else slice(None) for dim in order)]
    wanted = [order.index(dim) for dim in DIMS if dim in order]
    return np.asarray(part, dtype=np.float64).transpose(wanted)


def _unknown(path: Path, file: Any) -> DataError:
    """The error for HDF5 that is no analysis file of SLEAP, with what to export."""
    there = list(itertools.islice(file.id, 50))
    names = [name.decode(errors="replace") for name in there]
    if {"metadata", "videos_json"} <= set(names) or {"frames", "instances", "points"} <= set(names):
        return DataError(path, "is a project or package of SLEAP (.slp), not its analysis file", EXPORT)
    import h5py

    for name in there:
        if file.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            continue
        kind = file.get(name.decode(errors="surrogateescape"), getclass=True)
        if kind is h5py.Group and {b"table", b"_i_table", b"axis0", b"block0_values"} & set(
            itertools.islice(file[name].id, 50)
        ):
            reason = "is DeepLabCut's HDF5, whose column names are pickles, which are never loaded"
            return DataError(path, reason, "save as CSV: deeplabcut.analyze_videos_converth5_to_csv(FOLDER)")
    reason = (
        f"is HDF5 without SLEAP's tracks and node_names; it holds {shorten(', '.join(names)) if names else 'nothing'}"
    )
    return DataError(path, reason, f"of another tool: save as CSV. {EXPORT[0].upper()}{EXPORT[1:]}")
