"""The chunks of a tree of general movements that the two-stream network learns from, and the folds of its infants.

A chunk is a second or more of an infant: its middle picture and its flow, see `formats/two_stream.py`. All chunks are
kept in one memory-mapped file in the cache, at the size that the network reads, so that memory stays flat.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, DataProblems, collect_errors, first_few
from spasm.core.files import atomic_write, lock, remove_stale
from spasm.data.folds import make_folds
from spasm.data.formats.two_stream import (
    CLASSES,
    FLOW_STEP,
    SIDE,
    Start,
    Subject,
    files_of,
    fold_tables,
    is_simulated,
    is_whole,
    mask_of,
    places,
    raw_chunk,
    read_folds,
    read_tree,
    starts_of,
)
from spasm.data.index import FileIndex
from spasm.data.pictures import check_one_mask

VERSION = "chunks 1"  # of the file in the cache; after a change of version the pictures are read again
FOLDER = "general_movements"  # in the cache
BUILDING_S = 24 * 3600.0  # to wait for another process that reads the pictures
COLOURS = 3  # the first channels of a chunk; the others are its flow, x before y

Progress = Callable[[Sequence[int]], Iterable[int]]


class Fold(NamedTuple):
    """One fold: no infant is on both sides."""

    train: np.ndarray
    """(M,) int64: the chunks that it is trained on."""
    test: np.ndarray
    """(K,) int64: the chunks that it scores."""


class Chunks:
    """The chunks of all infants, N of them; picklable without its pictures, which other processes map themselves."""

    targets: np.ndarray | None = None

    def __init__(
        self,
        chunks: Sequence[Start],
        path: Path,
        shape: tuple[int, ...],
        fingerprint: str,
        simulated: bool,
        chunk_frames: int,
    ) -> None:
        """path: of the pictures, an array of this shape (N, C, side, side) uint8."""
        self.chunks, self.path, self.shape = tuple(chunks), path, shape
        self.fingerprint, self.simulated, self.chunk_frames = fingerprint, simulated, chunk_frames
        self.subjects = tuple(f"{chunk.class_name}/{chunk.name}" for chunk in chunks)
        self.names = tuple(
            f"{subject} from frame {chunk.frame}" for subject, chunk in zip(self.subjects, chunks, strict=True)
        )
        self.labels = np.array([CLASSES.index(chunk.class_name) for chunk in chunks], dtype=np.int64)

    def pictures(self) -> np.ndarray:
        """(N, 3 + 2 * flows, side, side) uint8, read-only, on disk: blue, green, red, and flow in X, Y, X, Y, ..."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False)


def load_chunks(
    data: Path,
    chunk_frames: int,
    chunk_every: int,
    side: int,
    fold_csvs: bool,
    folds: int,
    fold_seed: int,
    cache: Path,
    progress: Progress = iter,
) -> tuple[Chunks, list[Fold], str]:
    """The chunks of a tree, their folds, and in a sentence where these come from.

    chunk_frames: L, the frames of a chunk. chunk_every: frames from the start of a chunk to the next, where no table
    names the starts. side: of the pictures, a divisor of 224. fold_csvs: use the tree's own fold/{train,test}/*.csv,
    where there are any; otherwise each infant is in one of `folds` folds, stratified by class. Raises DataProblems.
    """
    subjects = read_tree(data)
    check_one_mask({place.subject: mask_of(place.folder) for place in places(data)}, data)
    of = {subject.subject: subject for subject in subjects}
    tables = fold_tables(data) if fold_csvs else []
    if tables:
        chunks, split, origin = _folds_of_tables(tables, subjects, chunk_frames)
    else:
        chunks = _chunks_of(subjects, chunk_frames, chunk_every)
        split = _own_folds(chunks, folds, fold_seed)
        origin = f"{folds} stratified folds of whole infants, seed {fold_seed}"
    index = FileIndex(data, cache / FOLDER)  # its own: another conversion of the tree reads other files
    digests = [
        f"{one.class_name}/{one.name} {one.frame} "
        + " ".join(index.sha256(path) for path in files_of(of[f"{one.class_name}/{one.name}"], one.frame, chunk_frames))
        for one in chunks
    ]
    index.save()
    shape = (len(chunks), COLOURS + 2 * (chunk_frames // FLOW_STEP), side, side)
    fingerprint = hashlib.sha256("\n".join([VERSION, str(chunk_frames), *digests]).encode()).hexdigest()
    path = cache / FOLDER / f"{fingerprint[:24]}_{side}.npy"
    _keep(path, shape, [(of[f"{one.class_name}/{one.name}"], one.frame) for one in chunks], chunk_frames, progress)
    return Chunks(chunks, path, shape, fingerprint, is_simulated(data), chunk_frames), split, origin


def folds_sha256(folds: Sequence[Fold]) -> str:
    """What identifies the folds."""
    return hashlib.sha256(json.dumps([[part.tolist() for part in fold] for fold in folds]).encode()).hexdigest()


def shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures (C, 224, 224) uint8 as (C, side, side) uint8, each pixel the mean of a square."""
    by = SIDE // side
    if by == 1:
        return pictures
    mean = pictures.reshape(len(pictures), side, by, side, by).mean(axis=(2, 4), dtype=np.float32)
    return np.rint(mean).astype(np.uint8)


def _chunks_of(subjects: Sequence[Subject], length: int, every: int) -> list[Start]:
    """The chunks of all infants. Raises DataProblems for an infant without one."""
    chunks: list[Start] = []
    problems: list[DataError] = []
    for subject in subjects:
        starts = starts_of(subject, length, every)
        if not starts:
            reason = f"is too short for a chunk of {length} frames: it has {len(subject.frames)} pictures"
            problems.append(
                DataError(subject.subject, reason, "use a lower --chunk-frames, or take it out of the tree")
            )
        chunks += [Start(subject.class_name, subject.name, start) for start in starts]
    if problems:
        raise DataProblems(problems)
    return chunks


def _own_folds(chunks: Sequence[Start], folds: int, seed: int) -> list[Fold]:
    """Folds of whole infants, stratified by class."""
    infants = list(dict.fromkeys((chunk.class_name, chunk.name) for chunk in chunks))
    labels = np.array([CLASSES.index(class_name) for class_name, _ in infants])
    fewest = int(np.bincount(labels, minlength=len(CLASSES)).min())
    if fewest < 2:
        fewest_class = CLASSES[int(np.bincount(labels, minlength=len(CLASSES)).argmin())]
        hint = "while it is held out there is none to learn from: add infants"
        raise DataError(fewest_class, "has one infant only", hint)
    if fewest < folds:
        raise DataError("the tree", f"has {fewest} infants in a class, for {folds} folds", f"use --folds {fewest}")
    children = tuple("/".join(infant) for infant in infants)
    fold_of = dict(zip(infants, make_folds(labels, children, folds, "stratified", seed), strict=True))
    of_chunk = np.array([fold_of[chunk.class_name, chunk.name] for chunk in chunks])
    return [Fold(np.flatnonzero(of_chunk != fold), np.flatnonzero(of_chunk == fold)) for fold in range(folds)]


def _folds_of_tables(
    tables: Sequence[tuple[Path, Path]], subjects: Sequence[Subject], length: int
) -> tuple[list[Start], list[Fold], str]:
    """The chunks that a tree's own tables name, their folds, and a sentence on them.

    A chunk beyond the end of its video is left out: the published split lists 60 s of every infant. Raises
    DataProblems.
    """
    of = {(subject.class_name, subject.name): subject for subject in subjects}
    sides: list[tuple[list[Start], list[Start]]] = []
    problems: list[DataError] = []
    tested_in: dict[tuple[str, str], Path] = {}
    left_out: set[Start] = set()
    for pair in tables:
        with collect_errors(problems):
            train, test = (list(dict.fromkeys(read_folds(path, list(subjects)))) for path in pair)
            for part in (train, test):
                beyond = {one for one in part if not is_whole(of[one.class_name, one.name], one.frame, length)}
                left_out |= beyond
                part[:] = [one for one in part if one not in beyond]
            infants = [list(dict.fromkeys((one.class_name, one.name) for one in part)) for part in (train, test)]
            both = sorted(set(infants[0]) & set(infants[1]))
            if both:
                reason = f"tests infants that {pair[0]} trains on: {first_few(['/'.join(one) for one in both])}"
                raise DataError(pair[1], reason, "an infant on both sides leaks: take it out of one of the tables")
            again = [one for one in infants[1] if one in tested_in]
            if again:
                named = first_few(["/".join(one) for one in again])
                reason = f"tests an infant that {tested_in[again[0]]} tests, too: {named}"
                raise DataError(pair[1], reason, "an infant is tested in one fold: take it out of the others")
            if len({class_name for class_name, _ in infants[0]}) < len(CLASSES) or not infants[1]:
                reason = "leaves a side empty, or trains on fewer than three classes"
                raise DataError(pair[0], reason, f"each fold needs infants of {', '.join(CLASSES)}, and some to test")
            tested_in |= dict.fromkeys(infants[1], pair[1])
            sides.append((train, test))
    if problems:
        raise DataProblems(problems)
    chunks = sorted({one for train, test in sides for one in (*train, *test)}, key=lambda one: _order(one))
    place = {one: number for number, one in enumerate(chunks)}
    folds = [Fold(*(np.array(sorted(place[one] for one in part)) for part in pair)) for pair in sides]
    origin = f"{len(tables)} folds from {tables[0][0].parent.parent}"
    if left_out:
        origin += f"; {len(left_out)} chunks beyond the end of their videos are left out"
    return chunks, folds, origin


def _order(chunk: Start) -> tuple[int, str, int]:
    return CLASSES.index(chunk.class_name), chunk.name, chunk.frame


def _keep(
    path: Path, shape: tuple[int, ...], chunks: Sequence[tuple[Subject, int]], length: int, progress: Progress
) -> None:
    """Read the pictures of all chunks once, into one file that is whole or absent. Raises DataProblems."""
    with lock(path.with_suffix(".lock"), "pictures are being read", wait_s=BUILDING_S):
        remove_stale(path.parent, below=False)
        if path.exists():
            return
        problems: list[DataError] = []
        with atomic_write(path) as file:
            header = {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for number in progress(range(len(chunks))):
                with collect_errors(problems):
                    file.write(shrink(raw_chunk(*chunks[number], length), shape[2]).data)
            if problems:
                raise DataProblems(problems)
