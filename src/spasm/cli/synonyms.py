"""Names that other programs use for the flags of these scripts, and the nearest flags for an unknown name."""

import difflib
import re
from collections.abc import Sequence

# Names that a user may type, by the name that the flag has here. Only flags that a script has are suggested.
SYNONYMS = {
    "batch": ("batch-size", "bs", "minibatch", "batchsize"),
    "camera": ("webcam", "stream", "live"),
    "children": ("patients", "subjects", "n-children", "num-children", "infants"),
    "data": ("input", "input-dir", "input-folder", "in", "data-dir", "data-path", "data-folder", "dataset", "train-dir",
             "i", "d"),
    "device": ("gpu", "cuda", "cpu", "use-gpu", "use-cuda", "gpus", "gpu-id", "accelerator"),
    "epochs": ("epoch", "num-epochs", "n-epochs", "max-epochs", "nb-epochs", "e"),
    "events": ("annotations", "ground-truth", "truth"),
    "feature-fraction": ("colsample-bytree", "max-features"),
    "bagging-fraction": ("subsample",),
    "FILES": ("input", "input-dir", "pose", "poses", "json", "csv", "file", "files", "data", "i"),
    "folds": ("n-folds", "num-folds", "k", "kfold", "k-folds", "cv", "n-splits"),
    "outer-folds": ("n-folds", "num-folds", "k", "kfold", "k-folds", "cv", "n-splits"),
    "fps": ("frame-rate", "framerate", "rate", "hz"),
    "joints": ("skeleton", "layout", "keypoints", "landmarks", "format"),
    "min-confidence": ("confidence", "conf-threshold", "min-score", "score-threshold", "kpt-thr", "pcutoff"),
    "format": ("to", "layout"),
    "frames": ("t", "n-frames", "num-frames", "length", "seq-len", "sequence-length", "segment-length", "window-size"),
    "group-column": ("group", "groups", "group-by", "cohort"),
    "lambda-l2": ("l2", "reg-lambda", "lambda", "regularization"),
    "learning-rate": ("lr", "eta", "shrinkage", "max-lr", "step-size"),
    "min-data-in-leaf": ("min-child-samples", "min-samples-leaf", "leaf-segments"),
    "model": ("models", "model-name", "network", "arch", "architecture", "m"),
    "models": ("model", "model-name", "network", "networks", "arch", "architecture", "m"),
    "num-boost-round": ("n-estimators", "num-trees", "trees", "n-trees", "iterations", "num-iterations", "rounds",
                        "num-rounds", "num-round"),
    "num-leaves": ("leaves", "max-leaves"),
    "out": ("output", "output-dir", "output-folder", "output-path", "output-file", "out-dir", "outdir", "save-dir",
            "save", "dest", "o", "run", "results"),
    "precision": ("fp16", "bf16", "amp", "dtype", "half", "float16", "bfloat16", "mixed-precision"),
    "prevalence": ("prior", "base-rate", "positive-fraction"),
    "real-data": ("real", "reference"),
    "recordings": ("n-recordings", "num-recordings"),
    "RECORDINGS": ("input", "recording", "recordings", "video", "videos", "file", "files", "data", "i"),
    "report": ("html", "page"),
    "run": ("output", "output-dir", "out", "out-dir", "run-dir", "run-name", "model-dir", "model-path", "checkpoint",
            "checkpoint-dir", "ckpt", "weights", "experiment", "save-dir", "o", "r"),
    "seed": ("seeds", "random-state", "random-seed", "rng", "s"),
    "seeds": ("seed", "n-seeds", "num-seeds", "repeats", "random-state"),
    "segment": ("name", "file"),
    "segments-per-child": ("segments", "n-segments", "samples"),
    "settings": ("config", "conf", "cfg", "config-file", "settings-file", "params", "c"),
    "storage": ("db", "database", "journal"),
    "stride-s": ("stride", "hop", "step", "overlap"),
    "test": ("input", "input-dir", "test-dir", "test-data", "test-path", "test-folder", "data", "data-dir", "i"),
    "threshold-rule": ("threshold", "cutoff"),
    "sum-threshold": ("threshold", "cutoff"),
    "event-on": ("threshold", "cutoff"),
    "trials": ("n-trials", "num-trials", "budget", "n-iter"),
    "VIDEOS": ("input", "input-dir", "video", "videos", "file", "files", "data", "i"),
    "weight-decay": ("wd", "l2"),
    "workers": ("jobs", "n-jobs", "num-workers", "n-workers", "threads", "n-threads", "num-threads", "processes",
                "n-cpus", "cores", "j", "w"),
}  # fmt: skip
# The same for values that a flag may have.
VALUES = {
    "gpu": "cuda", "cuda:0": "cuda", "0": "cuda", "mps": "cpu", "fp32": "float32", "32": "float32", "bf16": "bfloat16",
    "16": "bfloat16", "fp16": "bfloat16", "float16": "bfloat16", "half": "bfloat16", "onecycle": "one-cycle",
    "attention": "attn", "max": "topk", "bce": "plain", "mse": "squared", "ce": "plain", "mean": "probability",
    "rank": "percentile", "groupkfold": "grouped", "stratifiedgroupkfold": "stratified",
}  # fmt: skip
MOST = 4  # suggestions


def suggestions(name: str, flags: Sequence[tuple[str, str]]) -> list[str]:
    """The flags nearest to an unknown one, nearest first. flags: the whole name of each, and that without its group."""
    group, _, leaf = re.sub(r"^-+", "", name).replace("_", "-").rpartition(".")
    leaf = leaf.lower()
    wanted = leaf.removeprefix("no-")
    same = [full for full, own in flags if own == wanted]
    known = [full for target in SYNONYMS if wanted in SYNONYMS[target] for full, own in flags if own == target]
    near = set(difflib.get_close_matches(wanted, {own for _, own in flags}, 1, 0.75))
    alike = [full for full, own in flags if own in near]
    found = list(dict.fromkeys([*same, *known] or alike))
    if group:  # those of the group that was meant come first, and alone where its name is right
        of_group = difflib.get_close_matches(
            group, {full.removeprefix("--").partition(".")[0] for full in found}, 1, 0.4
        )
        found = [full for full in found if of_group and full.startswith(f"--{of_group[0]}.")] or found
    return found[:MOST]
