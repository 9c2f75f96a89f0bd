"""Answering new segments with a decided run; its members work in processes of their own.

The process that answers loads neither torch nor LightGBM: the two crash together on some macOS builds.
"""

import contextlib
import itertools
import math
import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spasm import files, process
from spasm.blending import Choice, Rows
from spasm.decision import logit, probability
from spasm.errors import DataError, TrainingError
from spasm.runs import MemberFolder, check_files
from spasm.settings import Blend, Hardware, LgbmMember, Member, RocketMember, SettingsError, from_tree

MOST_PROCESSES = 4  # of a member; each holds all its folds


class Scorer(Protocol):
    """Trained folds of one member."""

    def score(self, poses: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits (folds, N) of some rows of poses, each with a pose, and frame weights (N, T) where there are any."""


def open_decision(run: Path) -> dict[str, Any]:
    """A run's decision.json, once every file it rests on is known to be there and unchanged. Raises DataError."""
    path = run / "decision.json"
    if not path.exists():
        hint = f"train all folds first: python src/train_folds.py --run {run}"
        raise DataError(path, "is not there: the run has no threshold yet", hint)
    decision = files.read_json(path)
    rebuild = "run src/train_folds.py or src/blend.py again, which rebuild it"
    if not _is_well_formed(decision):
        raise DataError(path, "is not a decision of this software", rebuild)
    needed = {
        str(MemberFolder(Path(name)).weights(seed, fold))
        for name, member in decision["members"].items()
        for seed in member["seeds"]
        for fold in range(decision["folds"])
    }
    if not needed <= set(decision["files"]):
        raise DataError(path, "names no file for some fold", rebuild)
    check_files(run, decision["files"])
    return decision


def _is_well_formed(decision: dict[str, Any]) -> bool:
    """Whether everything a decision is used for has its type and range; type() because True is an int to Python."""
    try:
        names, most = decision["files"], len(decision["files"])
        data, context = decision["data"], decision["context"]
        from_tree(Blend, decision["blend"])
        return (
            type(decision["threshold"]) is float
            and 0 <= decision["threshold"] <= 1
            and type(decision["frames"]) is int
            and 1 <= decision["frames"] <= 100_000
            and type(decision["folds"]) is int
            and 1 <= decision["folds"] <= most  # a count beyond the files would be listed for ever
            and decision["averaging"] in ("probability", "logit", "percentile")
            and _are_numbers([decision["without_pose"], decision["prevalence"], *decision["line"]], 4)
            and 0 < decision["prevalence"] < 1
            and (context is None or _are_numbers(context, 4))
            and type(data["simulated"]) is bool
            and all(type(data[key]) is kind for key, kind in (("path", str), ("segments", int), ("children", int)))
            and all(re.fullmatch(r"[a-z0-9_]+/seed_[0-9]+/[a-z0-9_]+\.(pt|txt|csv)", name) for name in names)
            and all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in names.values())
            and all(
                re.fullmatch(r"[a-z0-9_]+", name)
                and type(member["weight"]) is float
                and 0 < member["weight"] <= 1
                and 1 <= len(member["seeds"]) <= most
                and len(set(member["seeds"])) == len(member["seeds"])
                and all(type(seed) is int and seed >= 0 for seed in member["seeds"])
                and _are_numbers(member["line"], 2)
                and _are_numbers(member["quantiles"], len(member["quantiles"]))
                and (len(member["quantiles"]) > 1 if decision["averaging"] == "percentile" else not member["quantiles"])
                for name, member in decision["members"].items()
            )
            and math.isclose(sum(member["weight"] for member in decision["members"].values()), 1, abs_tol=1e-6)
        )
    except (KeyError, TypeError, AttributeError, SettingsError):
        return False


def _are_numbers(values: Any, count: int) -> bool:
    return len(values) == count and all(type(value) is float and math.isfinite(value) for value in values)


def choice_of(decision: dict[str, Any]) -> Choice:
    """What a decision says of blending."""
    members = decision["members"]
    return Choice(
        averaging=decision["averaging"],
        weights={name: member["weight"] for name, member in members.items()},
        lines={name: tuple(member["line"]) for name, member in members.items()},
        quantiles={name: member["quantiles"] for name, member in members.items() if member["quantiles"]},
        line=tuple(decision["line"]),
        context=None if decision["context"] is None else tuple(decision["context"]),
        threshold=decision["threshold"],
    )


def open_scorer(run: Path, name: str, chosen: dict[str, Any], folds: Iterable[int], hardware: Hardware) -> Scorer:
    """Some folds of a member of a decision, and all its seeds, which change fastest. Loads no more than it needs."""
    folder = MemberFolder(run / name)
    paths = [folder.weights(seed, fold) for fold in folds for seed in chosen["seeds"]]
    try:
        if name == "lgbm":
            from spasm import boosting

            return boosting.open_scorer(paths, from_tree(LgbmMember, chosen["settings"]))
        if name == "rocket":
            from spasm import rocket

            return rocket.open_scorer(paths, from_tree(RocketMember, chosen["settings"]))
        from spasm import scoring

        return scoring.open_scorer(paths, from_tree(Member, chosen["settings"]), hardware)
    except SettingsError as error:
        hint = "run src/train_folds.py or src/blend.py again"
        raise DataError(run / "decision.json", str(error), hint) from error
    except TrainingError as error:
        hint = "restore the run from a copy, or train again"
        raise DataError(folder.path, f"holds weights that do not fit decision.json ({error})", hint) from error


# What a member's own process holds: what it is to open, from `_begin` on, and once it is opened the scorer.
_work: tuple[int, Path, str, dict[str, Any], int, Hardware]
_scorer: Scorer | None = None


def _begin(parent: int, *work: Any) -> None:
    global _work
    process.follow(parent)
    _work = work


def _open() -> Scorer:
    """Here and not in `_begin`, from which no error comes back."""
    global _scorer
    if _scorer is None:
        threads, run, name, chosen, folds, hardware = _work
        if name != "lgbm":
            process.prepare(threads)
        _scorer = open_scorer(run, name, chosen, range(folds), hardware)
    return _scorer


def _ready() -> None:
    _open()


def _score(poses: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return _open().score(poses, rows)


class Answerer:
    """Every trained fold of a decision, held by processes of each member. To be used in a `with`.

    Batches are dealt to a member's processes, which is faster than threads: one for each of its cores, up to four, or a
    single one where a GPU works.
    """

    def __init__(
        self, run: Path, decision: dict[str, Any], hardware: Hardware, cores: int, batches: int = MOST_PROCESSES
    ) -> None:
        """batches: how many there will be at most; a process without one would only be loaded."""
        self.decision = decision
        self.choice = choice_of(decision)
        self.workers: dict[str, Executor] = {}
        share = max(1, cores // max(1, len(set(decision["members"]) - {"lgbm"})))  # of the cores; lgbm needs few
        self.ahead = min(cores, MOST_PROCESSES) + 1
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit whatever was loaded here
        begun = []
        on_gpu = hardware.device != "cpu" and Path("/dev/nvidiactl").exists()  # torch would say, but is not loaded here
        for name, chosen in decision["members"].items():
            alone = name == "lgbm" or (on_gpu and name != "rocket")
            own = cores if name == "rocket" else share  # it takes as long as two networks
            count = 1 if alone else min(own, MOST_PROCESSES)
            threads = max(1, share // count)
            work = (os.getpid(), threads, run, name, chosen, decision["folds"], hardware)
            self.workers[name] = ProcessPoolExecutor(max(1, min(count, batches)), spawn, _begin, work)
            begun.append(self.workers[name].submit(_ready))
        try:
            for future in begun:
                result(future)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Answerer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the members' processes."""
        for worker in self.workers.values():
            worker.shutdown(cancel_futures=True)

    def member_logits(
        self, batches: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Each member's logits (N,) and the frame weights (N, T) of each batch: poses (N, T, 33, 5), has_pose (N,).

        Logits are averaged over seeds, and probabilities over folds unless the decision says logits. A segment without
        any pose gets what such segments were labelled in training, and weights of 0, as every segment does where no
        member looks at frames.
        """
        waiting: list[tuple[np.ndarray, np.ndarray, dict[str, Future[Any]]]] = []
        iterator = iter(batches)
        while True:
            for poses, has_pose in itertools.islice(iterator, self.ahead - len(waiting)):
                rows = np.flatnonzero(has_pose)
                with killed_in_words():  # a process that died before is noticed here
                    scores = {name: worker.submit(_score, poses, rows) for name, worker in self.workers.items()}
                waiting.append((poses, has_pose, scores))
            if not waiting:
                return
            yield self._gather(*waiting.pop(0))

    def _gather(
        self, poses: np.ndarray, has_pose: np.ndarray, scores: dict[str, "Future[Any]"]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        logits, frame_weights, looking = {}, np.zeros(poses.shape[:2]), 0.0
        for name, future in scores.items():
            scored, looked = result(future)
            seeds = len(self.decision["members"][name]["seeds"])
            by_fold = scored.reshape(self.decision["folds"], seeds, -1).mean(axis=1)
            logits[name] = np.full(len(poses), self.decision["without_pose"])
            if self.decision["blend"]["fold_averaging"] == "logit":
                logits[name][has_pose] = by_fold.mean(axis=0)
            else:
                logits[name][has_pose] = logit(probability(by_fold).mean(axis=0))
            if looked is not None:
                frame_weights[has_pose] += self.choice.weights[name] * looked
                looking += self.choice.weights[name]
        return logits, frame_weights / (looking or 1.0)

    def probability(self, logits: dict[str, np.ndarray], children: Sequence[str], has_pose: np.ndarray) -> np.ndarray:
        """Probabilities (N,) of segments from what the members say; all of a child together, if context counts."""
        return self.choice.probability(Rows(logits, np.array(children, dtype=str), has_pose))


def result(future: "Future[Any]") -> Any:
    """What a member's process gave. Raises TrainingError if it was killed."""
    with killed_in_words():
        return future.result()


@contextlib.contextmanager
def killed_in_words() -> Iterator[None]:
    """Raises TrainingError where a member's process was killed."""
    try:
        yield
    except BrokenProcessPool as error:
        raise TrainingError("a member's process was killed, perhaps because memory ran out") from error
