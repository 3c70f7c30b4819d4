import pytest
import torch

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.backbones.sit import SiT
from trainer.data.dataset import load
from trainer.evaluation.held_out import HeldOut
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import DataRecipe, SiTRecipe
from trainer.rng.streams import Stream, generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return load(DataRecipe())


@pytest.fixture(scope="module")
def model(data):
    return SiT(SiTRecipe(width=16, depth=2, heads=2), data.shape, data.classes, 1000.0, CPU)


def held_out(data, size: int) -> HeldOut:
    return HeldOut(data, Interpolant(), size, CPU)


def network(model, flat: torch.Tensor) -> Network:
    return Network(model, views(flat, model.layout))


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_the_first_probe_images_are_of_all_classes_alike(name):
    probe = held_out(load(DataRecipe(name=name)), 256)
    share = torch.bincount(probe.labels[:256], minlength=10) / 25.6
    assert float(share.min()) > 0.5
    assert float(share.max()) < 1.6


def test_each_image_keeps_its_own_label(data):
    probe = held_out(data, 256)
    pairs = {(image.numpy().tobytes(), int(label)) for image, label in zip(probe.images, probe.labels, strict=True)}
    assert pairs == {
        (image.numpy().tobytes(), int(label))
        for image, label in zip(data.held_images[:], data.held_labels, strict=True)
    }


def test_health_of_more_images_than_a_chunk_is_that_of_all_of_them(data, model):
    flat = model.initial_weights(generator(0, Stream.INIT))[None]
    with torch.no_grad():
        few, many = (held_out(data, size).health(network(model, flat))["effective_rank.block_0"] for size in (17, 300))
    assert 1 < float(few) <= 16
    assert float(many) > 2 * float(few)


def test_validation_loss_of_the_zero_velocity_is_the_mean_square_of_data_minus_noise(data, model):
    zero = network(model, model.initial_weights(generator(0, Stream.INIT))[None])
    with torch.no_grad():
        loss = float(held_out(data, 32).validation_loss(zero))
    expected = float(data.held_images[:].square().mean()) + 1  # data and unit noise are independent
    assert loss == pytest.approx(expected, rel=0.03)


def test_two_of_them_measure_the_same_and_lanes_are_independent(data, model):
    flat = torch.stack([model.initial_weights(generator(seed, Stream.INIT)) for seed in (0, 1)])
    flat += 0.05 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both = held_out(data, 32).health(network(model, flat))
        second = held_out(data, 32).health(network(model, flat[1:]))
    names = "feature_norm", "effective_rank", "pairwise_distance", "uniformity", "alignment"
    assert set(both) == {f"{name}.block_{i}" for name in names for i in range(2)}
    for name, value in both.items():
        torch.testing.assert_close(value[1:], second[name], rtol=1e-3, atol=1e-4)


def test_health_is_that_of_the_tokens_themselves(data, model):
    flat = model.initial_weights(generator(0, Stream.INIT))[None]
    with torch.no_grad():
        health = held_out(data, 64).health(network(model, flat))
    assert 1 < float(health["effective_rank.block_0"]) <= 63
    assert 0.1 < float(health["feature_norm.block_0"]) < 10


def test_pairwise_distance_is_in_the_units_of_tau(data, model):
    lanes = network(model, model.initial_weights(generator(0, Stream.INIT))[None])
    seen = []
    walk = lanes.walk
    lanes.walk = lambda *given: [seen.append(z) or z for z in walk(*given)]
    with torch.no_grad():
        health = held_out(data, 64).health(lanes)
    assert len(seen) == 4  # two noises of every image
    for block, z in enumerate(seen[:2]):
        pairs = torch.pdist(z[0].flatten(1).double()).square() / z[0].flatten(1).shape[1]
        assert float(health[f"pairwise_distance.block_{block}"]) == pytest.approx(float(pairs.median()), rel=1e-4)


def test_health_of_weights_that_are_not_finite_is_nan_and_spares_the_other_lane(data, model):
    flat = torch.stack([model.initial_weights(generator(0, Stream.INIT))] * 2)
    flat[0] = torch.nan
    with torch.no_grad():
        health = held_out(data, 16).health(network(model, flat))
    for value in health.values():
        assert value.isfinite().tolist() == [False, True]
