"""Linear probe, nearest neighbours and CKA, against scikit-learn and formulas written out, and on a network."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.data.dataset import Dataset
from trainer.evaluation.linear_probe import LinearProbe, linear_accuracy, neighbour_accuracy
from trainer.objectives.build import objective_of
from trainer.recipe import EvalRecipe, Recipe
from trainer.recipe.objective import ObjectiveKind
from trainer.regularisers.representation import alignment, linear_cka, uniformity
from trainer.rng.streams import Stream, generator

CPU = torch.device("cpu")


def blobs(count: int, seed: int, dim: int = 12, classes: int = 4, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(classes, (count,), generator=random)
    scale = torch.logspace(-3, 3, dim)
    return (centres[labels] + spread * torch.randn(count, dim, generator=random)) * scale + 7, labels


@pytest.mark.parametrize(("images", "spread"), [(30, 0.5), (300, 1.0), (300, 3.0)])
def test_accuracies_are_scikit_learns_lane_by_lane(images: int, spread: float) -> None:
    fit, labels = blobs(images, 0, spread=spread)
    test, held = blobs(200, 1, spread=spread)
    scaler = StandardScaler().fit(fit.double().numpy())
    x, y = scaler.transform(fit.double().numpy()), scaler.transform(test.double().numpy())
    ridge = RidgeClassifier(alpha=0.01 * images).fit(x, labels.numpy()).score(y, held.numpy())
    knn = KNeighborsClassifier(10).fit(x, labels.numpy()).score(y, held.numpy())
    noise = torch.randn(fit.shape, generator=torch.Generator().manual_seed(5)), torch.zeros(test.shape)
    lanes = torch.stack([fit, noise[0]]), labels, torch.stack([test, noise[1]]), held
    assert linear_accuracy(*lanes)[0] == pytest.approx(ridge)
    assert neighbour_accuracy(*lanes)[0] == pytest.approx(knn)
    assert ridge > 0.5 > float(linear_accuracy(*lanes)[1])


def test_a_lane_that_is_not_finite_has_no_accuracy_and_spares_the_other() -> None:
    fit, labels = blobs(50, 0)
    test, held = blobs(40, 1)
    broken = fit.clone()
    broken[3, 2] = torch.inf
    given = torch.stack([broken, fit]), labels, torch.stack([test, test]), held
    for accuracy in (linear_accuracy, neighbour_accuracy):
        found = accuracy(*given)
        assert bool(found[0].isnan())
        assert found[1] == accuracy(fit[None], labels, test[None], held)[0]


def test_features_that_are_the_same_for_all_images_change_nothing() -> None:
    fit, labels = blobs(60, 0)
    test, held = blobs(40, 1)
    more = [torch.cat([part, torch.full((len(part), 3), 2.0)], 1)[None] for part in (fit, test)]
    assert linear_accuracy(more[0], labels, more[1], held) == linear_accuracy(fit[None], labels, test[None], held)


def test_linear_cka_is_the_published_ratio_of_centred_gram_matrices_whatever_the_widths() -> None:
    x, y = blobs(40, 0, dim=5)[0], blobs(40, 1, dim=9)[0]
    centre = np.eye(40) - 1 / 40
    k, m = (centre @ (z.double().numpy() @ z.double().numpy().T) @ centre for z in (x, y))
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert float(linear_cka(x[None], y[None])) == pytest.approx(expected, rel=1e-5)
    turned = x @ torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0))).Q
    assert float(linear_cka(x[None], 3 * turned[None] - 2)) == pytest.approx(1, abs=1e-5)


def test_uniformity_and_alignment_are_wang_and_isolas_pair_by_pair() -> None:
    z, other = torch.randn(2, 20, 6), torch.randn(2, 20, 6)
    for lane in range(2):
        x, y = (part[lane].double() / part[lane].double().norm(dim=1, keepdim=True) for part in (z, other))
        pairs = [torch.exp(-2 * (x[i] - x[j]).square().sum()) for i in range(20) for j in range(i)]
        assert float(uniformity(z)[lane]) == pytest.approx(float(torch.stack(pairs).mean().log()), rel=1e-5)
        assert float(alignment(z, other)[lane]) == pytest.approx(float((x - y).square().sum(1).mean()), rel=1e-5)
    assert float(uniformity(torch.ones(1, 9, 4))[0]) == pytest.approx(0, abs=1e-5)
    assert float(alignment(z, 5 * z)[0]) == pytest.approx(0, abs=1e-10)


def recipe(**evaluation: object) -> Recipe:
    return Recipe.model_validate(
        {"model": {"width": 16, "depth": 2, "heads": 2}, "eval": {"linear_probe": "last rung", **evaluation}}
    )


def network(of: Recipe, data: Dataset, seeds: tuple[int, ...] = (0,)) -> Network:
    backbone = backbone_of(of, data.shape, data.classes, CPU)
    flat = torch.stack([backbone.initial_weights(generator(seed, Stream.INIT)) for seed in seeds])
    # Blocks that do something: at first all gates are 0.
    flat += 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    return Network(backbone, views(flat, backbone.layout))


@torch.no_grad()
def probed(of: Recipe, data: Dataset, net: Network, last: bool = True) -> dict[str, Tensor]:
    return LinearProbe(data, objective_of(of), of.eval, CPU).metrics(net, last)


def test_tokens_of_a_network_tell_classes_apart_the_better_the_less_noise_there_is(digits: Dataset) -> None:
    of = recipe(probe_levels=[0.05, 0.5, 0.95])
    found = probed(of, digits, network(of, digits))
    kinds, levels = ("linear_probe", "knn", "cka"), ("t5", "t50", "t95")
    assert found.keys() == {f"{kind}_{level}.block_{tap}" for kind in kinds for level in levels for tap in (0, 1)}
    for kind in ("linear_probe", "knn"):
        rising = [float(found[f"{kind}_{level}.block_0"]) for level in levels]
        assert rising == sorted(rising)
        assert rising[0] < 0.3
        assert rising[2] > rising[0] + 0.1
    assert 0 < float(found["cka_t50.block_0"]) == float(found["cka_t50.block_1"]) <= 1


def test_the_label_is_hidden_or_every_probe_would_be_perfect(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    of = recipe(probe_levels=[0.5])
    net, seen = network(of, digits), []
    walk = net.walk
    monkeypatch.setattr(net, "walk", lambda x, given: seen.append(given.label) or walk(x, given))
    probed(of, digits, net)
    assert {int(label) for part in seen for label in part.unique()} == {digits.classes}


def test_the_probe_is_deterministic_and_lanes_are_independent(digits: Dataset) -> None:
    of = recipe(probe_levels=[0.5])
    both, alone = (probed(of, digits, network(of, digits, (0, 1))) for _ in range(2))
    assert all(value.equal(alone[name]) for name, value in both.items())
    assert float(both["linear_probe_t50.block_1"][0]) != float(both["linear_probe_t50.block_1"][1])


@pytest.mark.parametrize(
    "objective",
    [
        *({"kind": kind} for kind in get_args(ObjectiveKind)),
        {"path": "gvp", "predicts": "score"},
        {"times": "logit_normal", "time_mean": -1.0},
        {"kind": "edm", "p_mean": 0.0, "sigma_data": 0.1},
    ],
    ids=str,
)
def test_a_higher_level_is_nearer_the_data_whichever_way_an_objectives_time_runs(
    objective: dict[str, object], digits: Dataset
) -> None:
    of = Recipe.model_validate({"objective": objective})
    learnt = objective_of(of)
    probe, alike = LinearProbe(digits, learnt, of.eval, CPU), []
    for level in (0.05, 0.5, 0.95):
        images, draws = next(iter(probe._noised(level)))
        labels, lane = torch.zeros(1, len(images), dtype=torch.long), {name: part[None] for name, part in draws.items()}
        seen = learnt.seen(images[None], labels, lane)[0][0]
        alike.append(float(torch.corrcoef(torch.stack([seen.flatten(), images.flatten()]))[0, 1]))
    assert alike == sorted(alike)
    assert alike[0] < 0.5
    assert alike[2] > 0.8


def test_at_uniform_times_on_the_linear_path_a_level_is_the_time_itself(digits: Dataset) -> None:
    of = recipe().eval
    _, draws = next(iter(LinearProbe(digits, objective_of(recipe()), of, CPU)._noised(0.75)))
    assert draws["time"].unique().tolist() == [0.75]


def test_it_is_measured_at_the_rungs_that_the_recipe_names_and_never_unasked(digits: Dataset) -> None:
    rungs = {"none": (False, False), "last rung": (False, True), "every rung": (True, True)}
    for when, expected in rungs.items():
        of = recipe(linear_probe=when, **({} if when == "none" else {"probe_levels": [0.5]}))
        net = network(of, digits)
        assert tuple(bool(probed(of, digits, net, last)) for last in (False, True)) == expected
    assert EvalRecipe().linear_probe == "none"


def test_a_probe_without_label_drop_is_refused_for_hidden_labels_were_never_trained() -> None:
    with pytest.raises(ValidationError, match=r"label_drop\s+must be above 0 beside eval\.linear_probe"):
        Recipe.model_validate({"train": {"label_drop": 0}, "eval": {"linear_probe": "last rung"}})


def test_levels_that_would_share_a_name_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"must be at least \.01 apart, not 0\.501, 0\.504"):
        EvalRecipe(probe_levels=(0.501, 0.504))
