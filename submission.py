"""Answer test segments with a trained run: a CSV of labels, and the probabilities beside it.

Example: python submission.py --test input/test --run output/main --out output/submission.csv
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

import numpy as np
from joblib import cpu_count
from tqdm import tqdm

import command_line
from spasm import files, report_text
from spasm.answer import Answerer, open_decision
from spasm.errors import DataError, DataProblems, collected
from spasm.process import prepare
from spasm.scoring import pick_device, pick_precision
from spasm.segments import FPS, found, read_segment
from spasm.settings import SettingsError, Submission
from spasm.tables import list_segments

BATCH = 64  # segments read before they are scored
PROBABILITIES = ("segment_name", "probability", "label", "moment_s", "frames_with_pose", "note")
WITHOUT_POSE = "no pose in any frame: answered as such segments were labelled in training"


def main(settings: Submission) -> int:
    if settings.out.suffix != ".csv":
        raise SettingsError(f"--out {settings.out} must end in .csv; the nearest valid value is {settings.out}.csv")
    decision = open_decision(settings.run)
    probabilities_path = settings.out.with_name(f"{settings.out.stem}_probabilities.csv")
    files.check_writable(settings.out.parent)
    for path in (settings.out, probabilities_path):
        if path.is_dir():
            raise DataError(path, "is a folder, not a file to write", "give another --out")
    prepare(threads=cpu_count())
    device = pick_device(settings.hardware.device)
    answerer = Answerer(settings.run, decision, device, pick_precision(settings.hardware.precision, device))
    paths = list_segments(settings.test, settings.names)

    rows: list[tuple[object, ...]] = []
    problems: list[DataError] = []
    with tqdm(total=len(paths), desc="answering", unit="segment", disable=None) as bar:
        for start in range(0, len(paths), BATCH):
            poses, names = [], []
            for path in paths[start : start + BATCH]:
                with collected(problems):
                    poses.append(read_segment(path, decision["frames"], settings.test)[0])
                    names.append(path.name)
            if poses and not problems:
                rows += answer_rows(answerer, names, np.stack(poses), decision["threshold"])
            bar.update(len(paths[start : start + BATCH]))
    if problems:
        raise DataProblems(problems)

    files.write_csv(probabilities_path, PROBABILITIES, rows)
    files.write_csv(settings.out, (settings.header, "label"), ((row[0], row[2]) for row in rows))
    without_pose = sum(bool(row[5]) for row in rows)
    print(f"{len(rows)} segments, {sum(row[2] == 1 for row in rows)} positive at threshold {decision['threshold']:.4f}")
    if without_pose:
        print(f"{without_pose} segments have no pose in any frame; the probabilities file names them")
    print(f"trained on {report_text.data_name(decision['data'])}")
    print(f"written: {settings.out}, {probabilities_path}")
    if not rows:
        raise DataError(settings.test, "holds no segment", "the answer has a header only; --test names their folder")
    return 0


def answer_rows(answerer: Answerer, names: list[str], poses: np.ndarray, threshold: float) -> list[tuple[object, ...]]:
    """One row of PROBABILITIES for each segment; poses (N, T, 33, 5) float32."""
    posed = found(poses).any(axis=2)  # (N, T)
    probabilities, frame_weights = answerer.answer(poses, posed.any(axis=1))
    return [
        (
            name,
            probability,
            int(probability >= threshold),
            f"{weights.argmax() / FPS:.2f}" if seen.any() else "",
            f"{seen.mean():.3f}",
            "" if seen.any() else WITHOUT_POSE,
        )
        for name, probability, weights, seen in zip(names, probabilities, frame_weights, posed, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(command_line.run(main, Submission, __doc__))
