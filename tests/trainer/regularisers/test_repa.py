"""REPA: what it computes, what its targets are, and that a block learns to predict them on digits."""

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from tests.trainer.regularisers.places import Places
from trainer.backbones.sit import SiT
from trainer.backbones.unet import UNet
from trainer.data.dataset import load
from trainer.errors import DataError
from trainer.evaluation.dinov2 import DinoV2
from trainer.evaluation.domain_extractor import domain_extractor
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe, Dispersion, EvalRecipe, Lane, Recipe, Repa, SiTRecipe, TrainRecipe, UNetRecipe
from trainer.regularisers.build import regulariser_of
from trainer.regularisers.protocol import State
from trainer.regularisers.repa import RepaTerm, alignment_loss
from trainer.regularisers.sum import Sum
from trainer.training.alignment_targets import DEVIATION, MEAN, encoder_of
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


def repa(**given) -> Repa:
    return Repa.model_validate({"hidden": 12, **given})


def build(given, backbone=None, seeds=(0,), targets=Places) -> RepaTerm:
    lanes = [Lane(Dispersion(), seed) for seed in seeds]
    regulariser = regulariser_of(lanes, TrainRecipe(repa=given), backbone or sit(), targets, CPU)
    assert isinstance(regulariser, Sum)
    term = regulariser.terms["repa"]
    assert isinstance(term, RepaTerm)
    return term


def test_the_loss_is_minus_the_mean_cosine_of_tokens_and_features():
    projected, features = (torch.randn(2, 3, 4, 5, generator=random(i), dtype=torch.float64) for i in range(2))
    expected = [
        -sum(float(a @ b / (a.norm() * b.norm())) for a, b in zip(one.view(12, 5), other.view(12, 5), strict=True)) / 12
        for one, other in zip(projected, features, strict=True)
    ]
    assert alignment_loss(projected, features).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_token_of_the_papers_projector_is_held_against_the_features_of_its_own_place():
    term = build(repa(block=1))
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
    term = build(repa(), backbone=backbone)
    images = torch.randn(1, 6, *backbone.shape, generator=random(0))
    features = torch.nn.functional.adaptive_avg_pool2d(Places()(images[0]), grid)
    assert torch.equal(term._features(images)[0], features.flatten(2).mT)
    assert term._grid == grid


def test_a_block_may_be_a_fraction_of_the_depth_or_a_taps_name():
    unet = UNet(UNetRecipe(kind="unet", width=8, levels=2), (1, 8, 8), 10, 1000.0, CPU)
    assert build(repa(block=0.5)).taps == {1}
    assert build(repa(block="mid"), backbone=unet).taps == {2}
    with pytest.raises(ValueError, match="must be within this model's depth 2, 0 to 1"):
        build(repa(block=2))


def test_the_encoder_sees_the_images_of_a_seed_once_whatever_lanes_share_them():
    seen = []

    class Counting(Places):
        def __call__(self, images):
            seen.append(len(images))
            return super().__call__(images)

    images = torch.randn(2, 6, 1, 8, 8, generator=random(0))[[0, 1, 0]]
    tokens, given = {1: torch.randn(3, 6, 16, 16, generator=random(1))}, repa(block=1)
    term = build(given, seeds=(7, 8, 7), targets=Counting)
    state = {name: torch.stack([part] * 3) for name, part in term.initial_state(random(2)).weights.items()}
    together = term(tokens, images, State(state, {})).term
    assert seen == [12]
    for lane in range(3):
        one = {name: part[lane : lane + 1] for name, part in state.items()}
        alone = build(given)({1: tokens[1][lane : lane + 1]}, images[lane : lane + 1], State(one, {})).term
        assert float(alone) == pytest.approx(float(together[lane]), rel=1e-5)


def test_the_local_encoder_is_never_the_network_that_scores_fid(digits, extractor_cache):
    encoder, extractor = (
        encoder_of(Repa(), digits, extractor_cache, CPU),
        domain_extractor(digits, extractor_cache),
    )
    assert encoder.sha256 != extractor.sha256
    files = {path.name.split("-")[0] for path in extractor_cache.glob("*.safetensors")}
    assert {"local", "domain"} <= files
    again = encoder_of(Repa(), digits, extractor_cache, CPU)
    assert again.sha256 == encoder.sha256
    images = digits.train_images[:5]
    features = encoder(images)
    assert (features.shape, encoder.width) == ((5, 64, 4, 4), 64)
    assert torch.equal(features, again(images))
    others = gelu(extractor.net.second(gelu(extractor.net.first(images))))
    assert not torch.allclose(features, others, atol=0.1)


def test_the_local_encoder_learns_from_the_images_that_are_trained_on_alone(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.evaluation.domain_extractor.STEPS", (2, 2))
    few = load(DataRecipe(limit=100))
    one, other = (encoder_of(Repa(), data, tmp_path, CPU) for data in (digits, few))
    assert one.sha256 != other.sha256
    assert len(list(tmp_path.glob("local-encoder-*.safetensors"))) == 2


def test_dinov2s_targets_are_its_patch_tokens_of_images_normalised_as_it_was_trained(digits, tmp_path):
    net = DinoV2(64, 1, 14, 257, 128, gated=False).eval()
    with torch.no_grad():
        for part in net.parameters():
            part.normal_(0, 0.1, generator=random(0))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    given = Repa.model_validate({"encoder": "dinov2", "weights": str(tmp_path / "net.pt")})
    encoder, images = encoder_of(given, digits, tmp_path, CPU), digits.train_images[:2]
    rgb = torch.nn.functional.interpolate(
        torch.stack([((images[:, 0] + 1) / 2 - mean) / std for mean, std in zip(MEAN, DEVIATION, strict=True)], 1),
        (224, 224),
        mode="bicubic",
    )
    with torch.no_grad():
        tokens = net._tokens(rgb)[0]
        expected = net.norm(tokens)[:, 1:].mT.unflatten(2, (16, 16))
        assert torch.allclose(net.norm(tokens[:, 0]), net(rgb))
    assert encoder.width == 64
    torch.testing.assert_close(encoder(images), expected)


def test_a_weight_file_that_is_missing_or_another_networks_is_refused_by_name(digits, tmp_path):
    missing = Repa.model_validate({"encoder": "dinov2", "weights": str(tmp_path / "no.pt")})
    with pytest.raises(DataError, match=r"no\.pt: no such file; give train\.repa\.weights"):
        encoder_of(missing, digits, tmp_path, CPU)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt: not a weight file of DINOv2"):
        encoder_of(missing.model_copy(update={"weights": str(tmp_path / "other.pt")}), digits, tmp_path, CPU)


def test_on_digits_a_block_learns_to_predict_the_features_better_than_where_little_teaches_it(digits, extractor_cache):
    evaluator = Evaluator(RECIPE.eval, digits, extractor_cache, CPU)
    weak, strong = (
        Cohort(
            RECIPE.override({"train.repa.lambda": lam, "train.repa.hidden": 32}),
            [Lane(Dispersion(), 0)],
            digits,
            CPU,
            evaluator,
        )
        for lam in (1e-6, 0.5)
    )
    strong.advance(20)
    early = strong.measure()[0].metrics["alignment_loss"]
    for cohort in (weak, strong):
        cohort.advance(200)
    left, taught = (cohort.measure()[0] for cohort in (weak, strong))
    assert taught.metrics["alignment_loss"] < early < 0
    assert taught.metrics["alignment_loss"] < left.metrics["alignment_loss"]
    assert not taught.diverged


def test_the_projector_begins_as_it_does_without_the_dispersive_loss(digits, extractor_cache):
    evaluator = Evaluator(RECIPE.eval, digits, extractor_cache, CPU)
    recipe = RECIPE.override({"train.repa.hidden": 8})
    alone, both = (
        Cohort(recipe, [Lane(setting, 0)], digits, CPU, evaluator)
        for setting in (Dispersion(), Dispersion(blocks=(1,), lam=0.1))
    )
    assert torch.equal(alone.state_dict()["weights"], both.state_dict()["weights"])
