"""The two-stream network on its own task: three classes of general movements."""

import numpy as np
import pytest
import torch

from helpers.movements import write_pictures
from spasm.config.fields import SettingsError
from spasm.config.general_movements import GeneralMovements
from spasm.config.runtime import Hardware
from spasm.data.general_movements import load_chunks
from spasm.models.model import FoldJob
from spasm.models.networks.general_movements import MODEL, ChunkInputs, augmented, scores_of
from spasm.models.networks.side_by_side import fit
from spasm.models.networks.trainer import FoldTrainer

CPU = torch.device("cpu")
SMALL = GeneralMovements(side=28, chunk_frames=10, epochs=12, batch=6, augmentation="mirror")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    tree = write_pictures(tmp_path_factory.mktemp("tree"))
    return load_chunks(tree, 10, 10, 28, True, 3, 0, tmp_path_factory.mktemp("cache"))


def job(data, rows, config=SMALL, **more):
    return FoldJob(data, rows, config, 0, 0, Hardware(device="cpu", precision="float32"), **more)


@pytest.mark.parametrize(("frames", "parameters"), [(30, 55_441_091), (150, 55_591_619)])
def test_the_published_network_has_the_published_number_of_parameters(frames, parameters):
    with torch.device("meta"):
        network = MODEL.build(GeneralMovements(backbone="resnet50", chunk_frames=frames))
    assert sum(value.numel() for value in network.parameters()) == parameters


def test_settings_of_the_published_network_follow_from_its_backbone():
    published = GeneralMovements(backbone="resnet50", batch=64, augmentation="mirror")
    assert (published.pixels, published.width, published.dropout) == (224, 64, 0.0)
    assert (published.optimization.learning_rate, published.optimization.batch) == (1e-5, 64)
    assert GeneralMovements(learning_rate=0.01, side=112, epochs=7).optimization.learning_rate == 0.01
    assert GeneralMovements(side=112).pixels == 112
    assert GeneralMovements(epochs=7).optimization.epochs == 7
    with pytest.raises(SettingsError, match=r"--chunk-frames 33 is no multiple of 5; use 30"):
        GeneralMovements(chunk_frames=33)
    with pytest.raises(SettingsError, match=r"add --backbone"):
        GeneralMovements(weights="imagenet.pth")


def test_a_network_reads_pictures_up_to_1_and_flow_around_0(loaded):
    data, _, _ = loaded
    inputs = ChunkInputs(data, SMALL, CPU)
    rows = np.array([1, 10])
    features = inputs.features(inputs[rows], None)
    raw = data.pictures()[rows].astype(np.float32)
    assert features.shape == (2, 7, 28, 28)
    assert torch.allclose(features[:, :3].amax((1, 2, 3)), torch.ones(2))
    assert np.allclose(features[:, 3:], raw[:, 3:] / 127.5 - 1 + 1 / 255)
    assert (features[:, 3:][torch.from_numpy(raw[:, 3:]) == 127].abs() < 1e-6).all()


def test_a_mirror_turns_the_picture_and_negates_the_flow_in_x_alone():
    features = torch.randn(64, 7, 28, 28)
    changed = augmented(features, SMALL, torch.Generator().manual_seed(0))
    mirrored = features.flip(3)
    mirrored[:, 3::2] *= -1
    kinds = [
        "same"
        if torch.allclose(one, before, atol=1e-4)
        else "mirrored"
        if torch.allclose(one, after, atol=1e-4)
        else ""
        for one, before, after in zip(changed, features, mirrored, strict=True)
    ]
    assert set(kinds) == {"same", "mirrored"}
    assert 20 < kinds.count("mirrored") < 44


def test_all_changes_change_more_than_a_mirror_does():
    features = torch.rand(8, 7, 28, 28)
    changed = augmented(features, GeneralMovements(), torch.Generator().manual_seed(0))
    again = augmented(features, GeneralMovements(), torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)
    assert not any(torch.allclose(one, two, atol=0.01) for one, two in zip(changed, features, strict=True))
    assert not any(torch.allclose(one, two.flip(2), atol=0.01) for one, two in zip(changed, features, strict=True))


def test_it_learns_three_classes_that_differ_in_their_flow(loaded):
    data, folds, _ = loaded
    config = GeneralMovements(side=28, chunk_frames=10, epochs=25, batch=6)
    weights = fit(MODEL, job(data, folds[0].train, config))
    logits = scores_of(weights, data, folds[0].test, config, CPU, torch.float32)
    assert logits.shape == (len(folds[0].test), 3)
    assert (logits.argmax(1) == data.labels[folds[0].test]).mean() > 0.8


def test_the_first_loss_is_the_cross_entropy_over_three_classes(loaded):
    data, folds, _ = loaded
    trainer = FoldTrainer(MODEL, data, folds[0].train, SMALL, 0, 0, CPU, torch.float32)
    batch = trainer.prepare(trainer.begin_epoch())[0]
    torch.manual_seed(1)
    loss = trainer._loss(batch)
    torch.manual_seed(1)
    logits = trainer.network(batch.features).logit
    assert torch.isclose(loss, torch.nn.functional.cross_entropy(logits, batch.labels.long()))


def test_what_a_fold_learns_does_not_depend_on_the_infants_that_it_tests(loaded, tmp_path):
    data, folds, _ = loaded
    config = GeneralMovements(side=28, chunk_frames=10, epochs=2, batch=6)
    first = fit(MODEL, job(data, folds[1].train, config))
    other = write_pictures(tmp_path / "tree", seed=0)
    changed = load_chunks(other, 10, 10, 28, True, 3, 0, tmp_path / "cache")[0]
    pictures = np.array(changed.pictures())
    pictures[folds[1].test] = 255 - pictures[folds[1].test]
    np.save(changed.path, pictures)
    second = fit(MODEL, job(changed, folds[1].train, config))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_fold_that_is_resumed_after_any_epoch_ends_with_the_same_weights(loaded, tmp_path):
    data, folds, _ = loaded
    config = GeneralMovements(side=28, chunk_frames=10, epochs=4, batch=6)
    whole = fit(MODEL, job(data, folds[2].train, config))

    class Stop(Exception):
        pass

    def stop(epoch, row, noted):
        if not noted:
            raise Stop

    checkpoint, seen = tmp_path / "last.safetensors", []
    for _ in range(3):
        with pytest.raises(Stop):
            fit(MODEL, job(data, folds[2].train, config, checkpoint=checkpoint, on_epoch=stop))
    last = fit(
        MODEL,
        job(data, folds[2].train, config, checkpoint=checkpoint, on_epoch=lambda *row: seen.append((row[0], row[2]))),
    )
    assert seen[:3] == [(1, True), (2, True), (3, True)]
    assert all(torch.equal(whole[name], last[name]) for name in whole)
