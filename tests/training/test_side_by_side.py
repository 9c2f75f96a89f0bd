"""Folds trained side by side in one process, as on a GPU: the same bytes as alone, fewer at once if memory is full."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.data import FLOAT32, children, open_both, write
from helpers.models import smallest
from helpers.networks import CPU, NETWORKS, some_data, trainer_of
from helpers.settings import NO_AUGMENTATION, changed
from spasm.config.runtime import Hardware
from spasm.core.errors import TrainingError
from spasm.ensemble.calibration import probability
from spasm.models.model import FoldJob
from spasm.models.networks import gpu, predictor, side_by_side
from spasm.models.networks.gpu import RecordedStep, empty_batch
from spasm.models.networks.predictor import NetworkPredictor
from spasm.models.networks.side_by_side import fit_together
from spasm.models.registry import MODELS
from spasm.models.stgcn_mil import StgcnMilConfig
from spasm.training import folds

torch.set_num_threads(1)
STGCN = NETWORKS["stgcn_mil"]
TINY = changed(StgcnMilConfig(), width=4, blocks=2, epochs=3, batch=8)
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]


def raw(tensors):
    return {name: value.numpy().tobytes() for name, value in tensors.items()}


def jobs_of(data, count=3, config=TINY, device="cpu", **options):
    """Folds with training sets of different sizes."""
    hardware = Hardware(device=device, precision="auto" if device == "cuda" else "float32")
    rows = [np.flatnonzero(np.arange(len(data.names)) % 5 != fold)[fold:] for fold in range(count)]
    return [FoldJob(data, rows[fold], config, 0, fold, hardware, **options) for fold in range(count)]


# ---- the same bytes


@pytest.mark.parametrize("device", DEVICES)
def test_folds_side_by_side_end_with_the_bytes_of_each_alone(device):
    data = some_data(40)
    jobs = jobs_of(data, device=device)
    alone = [STGCN.fit(job) for job in jobs]
    assert [raw(one) for one in STGCN.fit_together(jobs)] == [raw(one) for one in alone]
    assert raw(alone[0]) != raw(alone[1])
    assert all(value.isfinite().all() for value in alone[0].values())


@pytest.mark.parametrize("device", DEVICES)
def test_folds_that_were_stopped_after_different_epochs_end_with_the_same_bytes(device, tmp_path, monkeypatch):
    data = some_data(40)
    monkeypatch.setattr(side_by_side, "SAVED_ON_GPU_S", 0.0)

    class Stopped(Exception):
        pass

    def stop(epoch, row, restored):
        if epoch == 2:
            raise Stopped

    jobs = [
        dataclasses.replace(job, checkpoint=tmp_path / f"{job.fold}.safetensors")
        for job in jobs_of(data, device=device)
    ]
    with pytest.raises(Stopped):
        STGCN.fit(dataclasses.replace(jobs[1], on_epoch=stop))
    epochs = {job.fold: [] for job in jobs}
    seen = [
        dataclasses.replace(
            job, on_epoch=lambda epoch, row, restored, fold=job.fold: epochs[fold].append((epoch, restored))
        )
        for job in jobs
    ]
    resumed = STGCN.fit_together(seen)
    assert epochs[0] == epochs[2] == [(1, False), (2, False), (3, False)]
    assert epochs[1] == [(1, True), (2, True), (3, False)]
    whole = STGCN.fit_together(jobs_of(data, device=device))
    assert [raw(one) for one in resumed] == [raw(one) for one in whole]


def recorded_without_graph(trainer):
    """The trainer with the recorded steps that it would have on a GPU."""
    for size in (len(trainer.rows) // 4, len(trainer.rows) // 4 + 1):
        inputs = empty_batch(size, trainer.data.poses.shape[1], True, CPU)
        trainer.recorded[size] = RecordedStep(trainer._step, inputs, None)
    return trainer


def test_a_recorded_step_computes_what_the_step_does():
    data = some_data(30)
    plain, recorded = (trainer_of("stgcn_mil", TINY, data) for _ in range(2))
    recorded_without_graph(recorded)
    for _ in range(2):
        assert plain.run_epoch() == recorded.run_epoch()
    assert raw(plain.state()) == raw(recorded.state())


def test_features_that_are_made_for_several_steps_at_once_are_those_of_each_step(monkeypatch):
    """No random numbers: those of poses are sampled for all of these segments together."""
    data = some_data(30)
    monkeypatch.setattr("spasm.models.networks.inputs.augment", lambda poses, *_: poses)
    whole, parts = (
        side_by_side.FoldTrainer(STGCN, data, np.arange(30), TINY, 0, 0, CPU, torch.float32, None, steps)
        for steps in (1, 3)
    )
    batches = []
    for trainer in (whole, parts):
        epoch, made = trainer.begin_epoch(), []
        while some := trainer.prepare(epoch):
            made += some
        batches.append(made)
    assert len(batches[0]) == len(batches[1]) == 4
    for one, other in zip(*batches, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@NEEDS_GPU
def test_on_a_gpu_epochs_between_two_checkpoints_are_noted_with_the_next_and_the_last_always(tmp_path):
    noted = []
    job = jobs_of(some_data(40), 1, device="cuda", checkpoint=tmp_path / "last.safetensors")[0]
    STGCN.fit(dataclasses.replace(job, on_epoch=lambda epoch, row, later: noted.append((epoch, later))))
    assert noted == [(1, True), (2, True), (3, False)]
    assert job.checkpoint.exists()


@NEEDS_GPU
def test_a_step_recorded_on_a_gpu_gives_the_bytes_of_one_that_is_not():
    data = some_data(40)
    recorded, plain = (trainer_of("stgcn_mil", TINY, data, device=torch.device("cuda")) for _ in range(2))
    plain.records = False
    for _ in range(3):
        assert recorded.run_epoch() == plain.run_epoch()
    assert len(recorded.recorded) >= 1
    assert not plain.recorded
    assert raw(recorded.state()) == raw(plain.state())


@NEEDS_GPU
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_trains_what_the_processor_does(precision):
    """Dropout and augmentation sample other numbers there, so: none, and more than the rounding of a step."""
    data = some_data(64, signal=0.05)
    config = changed(dataclasses.replace(TINY, augmentation=NO_AUGMENTATION), dropout=0.0, mixup=0.0, epochs=4)
    weights = [
        STGCN.fit(FoldJob(data, np.arange(64), config, 0, 0, Hardware(device=device, precision=precision)))
        for device in ("cpu", "cuda")
    ]
    predicted = [
        probability(
            NetworkPredictor(lambda: STGCN.build(config), [one], STGCN, config, CPU, torch.float32)
            .predict(data.poses, np.arange(64))
            .logits[0]
        )
        for one in weights
    ]
    assert np.abs(predicted[0] - predicted[1]).max() < 0.02


# ---- memory


def no_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_every_librarys_word_for_full_memory_is_known(error):
    assert gpu.is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: an illegal memory access"), MemoryError(), ValueError()])
def test_another_error_is_not_taken_for_full_memory(error):
    assert not gpu.is_out_of_memory(error)


def limited_predictor(limit, data, asked):
    """A predictor whose features do not fit into memory above `limit` segments."""
    weights = [trainer_of("stgcn_mil", TINY, data, seed=seed).final_weights() for seed in (0, 1)]
    opened = NetworkPredictor(lambda: STGCN.build(TINY), weights, STGCN, TINY, CPU, torch.float32)
    inner = opened._scores_of

    def limited(poses, pictures, rows):
        asked.append(len(rows))
        return no_memory() if len(rows) > limit else inner(poses, pictures, rows)

    opened._scores_of = limited
    return opened


@pytest.mark.parametrize(
    ("limit", "sizes"), [(16, [16, 16, 5]), (5, [16, 8, *[4] * 9, 1]), (1, [16, 8, 4, 2, *[1] * 37])]
)
def test_where_memory_is_full_half_as_many_segments_are_predicted_at_a_time(limit, sizes):
    data, asked, rows = some_data(37), [], np.arange(37)
    found = limited_predictor(limit, data, asked).predict(data.poses, rows)
    assert asked == sizes
    wanted = limited_predictor(99, data, []).predict(data.poses, rows)
    assert np.allclose(found.logits, wanted.logits, rtol=0, atol=1e-5)
    assert np.allclose(found.attention, wanted.attention, rtol=0, atol=1e-6)


def test_memory_that_is_too_small_for_one_segment_is_an_error_with_what_to_do():
    data = some_data(9)
    opened = limited_predictor(0, data, [])
    with pytest.raises(TrainingError, match="is full while one segment is predicted: free some of it, or use --device"):
        opened.explain(data.poses, np.arange(9))


def test_an_error_that_is_not_about_memory_is_raised_at_once(monkeypatch):
    data = some_data(9)
    weights = [trainer_of("stgcn_mil", TINY, data).final_weights()]
    opened = NetworkPredictor(lambda: STGCN.build(TINY), weights, STGCN, TINY, CPU, torch.float32)

    def broken(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("spasm.features.channels.build_features", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        opened.predict(data.poses, np.arange(9))


def test_folds_that_do_not_fit_into_memory_together_are_trained_fewer_at_once_to_the_same_bytes(monkeypatch, tmp_path):
    data, sizes = some_data(20), []
    whole = [raw(one) for one in fit_together(STGCN, jobs_of(data, 5))]
    train = side_by_side.train_side_by_side

    def limited(pairs):
        sizes.append(len(pairs))
        if len(pairs) <= 2:
            return train(pairs)
        for trainer, _ in pairs:  # memory is full only after the first epoch
            trainer.run_epoch()
        return no_memory()

    monkeypatch.setattr(side_by_side, "train_side_by_side", limited)
    assert [raw(one) for one in fit_together(STGCN, jobs_of(data, 5))] == whole
    assert sizes == [5, 2, 3, 1, 2]


def test_a_step_that_does_not_fit_into_memory_names_its_batch_and_the_one_to_try(monkeypatch):
    monkeypatch.setattr(side_by_side.FoldTrainer, "_step", no_memory)
    with pytest.raises(TrainingError, match=r"fold 0: the memory of the GPU is full with 8 segments in a step.*"):
        fit_together(STGCN, jobs_of(some_data(40)))
    with pytest.raises(TrainingError, match=r"use --stgcn-mil\.batch 4 in another --run, or use --device cpu"):
        fit_together(STGCN, jobs_of(some_data(40)))


def test_an_epoch_that_is_trained_again_is_in_the_history_once(monkeypatch, tmp_path):
    write(tmp_path / "data", *children(6, 4, 16), each=4)
    run, folder = open_both(tmp_path, tmp_path / "data", "stgcn_mil", smallest("stgcn_mil"))
    train = side_by_side.train_side_by_side

    def limited(pairs):
        if len(pairs) == 1:
            return train(pairs)
        for trainer, job in pairs:
            job.on_epoch(1, trainer.run_epoch(), False)
        return no_memory()

    monkeypatch.setattr(side_by_side, "train_side_by_side", limited)
    folds.train_together(run, folder, MODELS["stgcn_mil"], smallest("stgcn_mil"), FLOAT32, 0, [0, 1])
    assert folder.epochs_noted(0) == {0: 2, 1: 2}
    assert folder.is_trained(0, 0) and folder.is_trained(0, 1)


@NEEDS_GPU
def test_a_gpu_whose_memory_is_nearly_full_predicts_the_same_in_smaller_batches():
    data = some_data(600, frames=60)
    device, config = torch.device("cuda"), changed(TINY, width=64)
    weights = [trainer_of("stgcn_mil", config, data).final_weights() for _ in range(2)]
    opened, limited = (
        NetworkPredictor(lambda: STGCN.build(config), weights, STGCN, config, device, torch.float32) for _ in range(2)
    )
    wanted = opened.predict(data.poses, np.arange(600)).logits
    gpu.free_memory()
    free, _ = torch.cuda.mem_get_info()
    filled = torch.empty(free - 300 * 2**20, dtype=torch.uint8, device=device)
    found = limited.predict(data.poses, np.arange(600)).logits
    del filled
    assert limited.batch < predictor.SCORING_BATCH_ON_GPU
    assert np.allclose(found, wanted, rtol=0, atol=1e-4)


@NEEDS_GPU
def test_a_training_for_which_a_gpu_has_too_little_memory_says_which_batch_to_try():
    config = changed(TINY, batch=512, width=128, blocks=4)
    data = some_data(600, frames=60)
    gpu.free_memory()
    free, _ = torch.cuda.mem_get_info()
    filled = torch.empty(free - 600 * 2**20, dtype=torch.uint8, device="cuda")
    with pytest.raises(TrainingError, match=r"full with 512 segments in a step; .* --stgcn-mil\.batch 256 "):
        fit_together(STGCN, jobs_of(data, 2, config, device="cuda"))
    del filled
    gpu.free_memory()
    small = jobs_of(data, 2, changed(config, batch=8, width=4, blocks=2, epochs=1), device="cuda")
    assert len(fit_together(STGCN, small)) == 2  # the device is still of use
