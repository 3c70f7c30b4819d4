"""REPA: what it computes, and on digits that a block learns to predict the domain extractor's features."""

import pytest
import torch
from torch import nn

from tests.trainer.regularisers.places import Places
from trainer.backbones.sit import SiT
from trainer.backbones.unet import UNet
from trainer.data.images import Images
from trainer.evaluation.domain_extractor import DomainNet, domain_extractor
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Alignment, Dispersion, EvalRecipe, Lane, Recipe, SiTRecipe, TrainRecipe, UNetRecipe
from trainer.regularisers.alignment import AlignmentTerm, alignment_loss
from trainer.regularisers.build import regulariser_of
from trainer.regularisers.protocol import State
from trainer.training.alignment_targets import DomainTargets
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
RECIPE = Recipe(
    model=SiTRecipe(width=16, depth=2, heads=2),
    train=TrainRecipe(steps=200, batch=16, warmup=5, lr=4e-3),
    eval=EvalRecipe(samples=100, batch=50, nfe=2, probe=16),
)


def sit(shape=(1, 8, 8), patch=2) -> SiT:
    return SiT(SiTRecipe(width=16, depth=2, heads=2, patch=patch), shape, 10, 1000.0, CPU)


def random(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def build(*settings, backbone=None) -> AlignmentTerm:
    return regulariser_of(settings, backbone or sit(), 6, Places, CPU)


def test_the_loss_is_minus_the_mean_cosine_of_tokens_and_features():
    projected, features = (torch.randn(2, 3, 4, 5, generator=random(i), dtype=torch.float64) for i in range(2))
    expected = [
        -sum(float(a @ b / (a.norm() * b.norm())) for a, b in zip(one.view(12, 5), other.view(12, 5), strict=True)) / 12
        for one, other in zip(projected, features, strict=True)
    ]
    assert alignment_loss(projected, features).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_token_of_the_papers_projector_is_held_against_the_features_of_its_own_place():
    term = build(Alignment(block=1, hidden=12))
    state = term.initial_state(random(0))
    weights = {name: part + 0.1 * torch.randn(part.shape, generator=random(1)) for name, part in state.weights.items()}
    projector = nn.Sequential(
        nn.Linear(16, 12), nn.SiLU(), nn.Linear(12, 12), nn.SiLU(), nn.Linear(12, Places.width)
    ).requires_grad_(False)
    for layer, name in zip(projector[::2], ("first", "second", "third"), strict=True):
        layer.weight.copy_(weights[f"{name}.weight"].T)
        layer.bias.copy_(weights[f"{name}.bias"])
    tokens, images = torch.randn(1, 6, 16, 16, generator=random(2)), torch.randn(1, 6, 1, 8, 8, generator=random(3))
    added = term({1: tokens}, images, State({name: part[None] for name, part in weights.items()}, {}))
    features, cosines = Places()(images[0]), []
    for row in range(4):
        for column in range(4):
            projected = projector(tokens[0, :, 4 * row + column])
            cosines.append(torch.cosine_similarity(projected, features[:, :, row, column]))
    assert float(added.term) == pytest.approx(-float(torch.stack(cosines).mean()), rel=1e-5)


@pytest.mark.parametrize(("backbone", "grid"), [(sit((3, 8, 4), 4), (2, 1)), (sit((1, 8, 8), 8), (1, 1))])
def test_features_are_pooled_to_the_tokens_grid(backbone, grid):
    term = build(Alignment(hidden=12), backbone=backbone)
    images = torch.randn(1, 6, *backbone.shape, generator=random(0))
    features = torch.nn.functional.adaptive_avg_pool2d(Places()(images[0]), grid)
    assert torch.equal(term._features(images, grid)[0], features.flatten(2).mT)
    assert term._grids == {0: grid}


def test_blocks_of_one_width_train_together_and_others_are_refused():
    unet = UNet(UNetRecipe(kind="unet", width=8, levels=2), (1, 8, 8), 10, 1000.0, CPU)
    assert build(Alignment(block=0, hidden=12), Alignment(block=4, hidden=12), backbone=unet).taps == {0, 4}
    with pytest.raises(ValueError, match=r"lanes 0 and 1 cannot train together, .* block 0 with hidden 12 and block 2"):
        build(Alignment(block=0, hidden=12), Alignment(block=2, hidden=12), backbone=unet)
    with pytest.raises(ValueError, match=r"lanes 0 and 2 cannot train together, .* and block 0 with hidden 8"):
        build(Alignment(hidden=12), Alignment(hidden=12), Alignment(hidden=8))


def test_lanes_of_two_regularisers_are_refused_in_either_order():
    for settings, words in (
        ((Dispersion(), Alignment()), "lanes of Dispersion and of Alignment cannot train together"),
        ((Alignment(), Dispersion()), "lanes of Alignment and of Dispersion cannot train together"),
    ):
        with pytest.raises(ValueError, match=words):
            build(*settings)


def test_a_block_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"blocks \(2,\): the model has blocks 0 to 1"):
        build(Alignment(block=2))


def test_the_targets_are_what_the_domain_extractors_last_convolution_sees():
    net = DomainNet((1, 8, 8), 10).requires_grad_(False)
    targets, images = DomainTargets(net), torch.randn(5, 1, 8, 8, generator=random(0))
    features = targets(images)
    assert features.shape == (5, targets.width, 4, 4)
    assert torch.equal(torch.nn.functional.gelu(net.third(features)).flatten(1), net(images))


def test_on_digits_a_block_learns_to_predict_the_features_better_than_where_nothing_teaches_it(digits, extractor_cache):
    evaluator = Evaluator(RECIPE.eval, digits, extractor_cache, CPU)
    lanes = [Lane(Alignment(block=0, lam=lam, hidden=32), 0) for lam in (1e-6, 0.5)]
    cohort = Cohort(RECIPE, lanes, digits, CPU, evaluator)
    cohort.advance(20)
    early = [one.metrics["alignment_loss"] for one in cohort.measure()]
    cohort.advance(200)
    taught, late = cohort.measure()[1], [one.metrics["alignment_loss"] for one in cohort.measure()]
    assert late[1] < early[1] < 0
    assert late[1] < late[0]
    assert not taught.diverged


def test_where_no_lane_is_aligned_the_network_learns_what_it_would_without(digits, extractor_cache):
    evaluator = Evaluator(RECIPE.eval, digits, extractor_cache, CPU)
    domain_extractor(digits, extractor_cache)  # made in float32, as ever
    torch.set_default_dtype(torch.float64)
    try:
        wide = digits.__class__(**{**digits.__dict__, "train_images": Images(digits.train_images[:].double(), None)})
        plain, other = (
            Cohort(RECIPE, [Lane(setting, 0)], wide, CPU, evaluator)
            for setting in (Dispersion(), Alignment(lam=0, hidden=8))
        )
        for cohort in (plain, other):
            cohort.advance(10)
        torch.testing.assert_close(other.state_dict()["ema"], plain.state_dict()["ema"], rtol=1e-9, atol=1e-11)
    finally:
        torch.set_default_dtype(torch.float32)
