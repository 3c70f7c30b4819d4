"""DispersiveLoss in a stranger's loop is the loss, the floor and the saturation of a study's trials."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

import trainer
from trainer import DispersiveLoss
from trainer.backbones.protocol import TapShape
from trainer.recipe import Dispersion
from trainer.regularisers.dispersive_term import DispersiveTerm

SETTINGS = [
    {},
    {"tau": 0.2, "tau_units": "relative"},
    {"tau": 0.2, "tau_units": "median"},
    {"variant": "cosine"},
    {"variant": "hinge", "distance": "sum"},
    {"variant": "covariance"},
    {"features": "layer_norm"},
    {"local_batch": 4},
]


def hidden(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return (scale * torch.randn(*shape, generator=torch.Generator().manual_seed(3))).requires_grad_()


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("scale", [0.5, 50.0])
def test_it_is_a_lane_of_the_trainers_term(setting: dict[str, object], scale: float) -> None:
    given = hidden(8, 3, 5, scale=scale)
    module = DispersiveLoss(**setting)
    loss = module(given)
    (gradient,) = torch.autograd.grad(loss, given)

    lane = Dispersion.model_validate({"blocks": (0,), "lam": 1.0, "tau": 0.5, **setting})
    term = DispersiveTerm([lane], 8, [TapShape(3, 5)], torch.device("cpu"))
    taps = hidden(8, 3, 5, scale=scale)
    added = term({0: taps[None]})
    assert added.term is not None
    (expected,) = torch.autograd.grad(added.term.sum(), taps)
    torch.testing.assert_close(loss, added.term[0])
    torch.testing.assert_close(gradient, expected)
    assert module.floor_distance == pytest.approx(float(added.recorded["floor_distance"][0]), abs=1e-6)
    assert module.is_saturated is bool(added.counted["floor_share"][0])


def test_features_of_a_convolution_are_tokens_of_its_channels() -> None:
    images = hidden(6, 5, 2, 3)
    tokens = images.flatten(2).transpose(1, 2)
    for setting in SETTINGS[:-1]:
        torch.testing.assert_close(DispersiveLoss(**setting)(images), DispersiveLoss(**setting)(tokens))


def test_vectors_are_single_tokens_and_one_sample_has_nothing_to_disperse() -> None:
    vectors = hidden(6, 5)
    torch.testing.assert_close(DispersiveLoss()(vectors), DispersiveLoss()(vectors[:, None]))
    alone = DispersiveLoss()
    assert alone(vectors[:1]) == 0
    assert math.isnan(alone.floor_share)
    assert not alone.is_saturated
    with pytest.raises(ValueError, match="no representations"):
        alone(vectors[:0])
    with pytest.raises(ValueError, match=r"not \[5\]"):
        alone(vectors[0])
    with pytest.raises(ValueError, match="does not divide a batch of 6"):
        DispersiveLoss(local_batch=4)(vectors)


def test_saturation_is_counted_over_batches() -> None:
    module = DispersiveLoss(tau=0.5)
    assert (module.is_saturated, math.isnan(module.floor_distance)) == (False, True)
    for scale in (0.1, 100.0, 100.0, 0.1):
        module(hidden(8, 3, 5, scale=scale))
    assert module.floor_share == 0.5
    assert not module.is_saturated
    module.reset()
    assert math.isnan(module.floor_share)


def test_training_with_it_spreads_representations() -> None:
    torch.manual_seed(0)
    layer, disperse = torch.nn.Linear(4, 4), DispersiveLoss(tau=0.2, tau_units="relative")
    given = torch.randn(16, 4) * torch.tensor([1.0, 0.01, 0.01, 0.01])
    optimiser = torch.optim.Adam(layer.parameters(), 1e-2)
    before = float(disperse(layer(given)))
    for _ in range(100):
        optimiser.zero_grad()
        disperse(layer(given)).backward()
        optimiser.step()
    assert float(disperse(layer(given))) < before - 0.05


def test_values_that_a_study_refuses_are_refused_here() -> None:
    with pytest.raises(ValidationError, match="tau"):
        DispersiveLoss(tau=-1)
    with pytest.raises(ValidationError, match="covariance"):
        DispersiveLoss(variant="covariance", tau_units="relative")


def test_it_prints_its_settings_and_has_nothing_to_save() -> None:
    module = DispersiveLoss(tau=0.2, tau_units="relative")
    assert repr(module) == "DispersiveLoss(tau=0.2, tau_units='relative')"
    assert repr(DispersiveLoss(local_batch=4)) == "DispersiveLoss(tau=0.5, local_batch=4)"
    assert module.state_dict() == {}


def test_the_package_offers_what_it_lists() -> None:
    assert dir(trainer) == sorted(trainer.__all__)
    assert all(getattr(trainer, name).__doc__ for name in trainer.__all__)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        trainer.train  # noqa: B018
