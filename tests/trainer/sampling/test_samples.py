import pytest
import torch

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning, Network
from trainer.backbones.sit import SiT
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import EvalRecipe, SiTRecipe
from trainer.rng.streams import Stream, generator
from trainer.runtime.cuda_graph import CapturedCall
from trainer.sampling import samples as sample
from trainer.sampling.samples import samples

CPU = torch.device("cpu")
MODEL = SiT(SiTRecipe(width=16, depth=1, heads=2), (1, 4, 4), 3, 1000.0, CPU)


def network(lanes: int) -> Network:
    flat = torch.stack([MODEL.initial_weights(generator(lane, Stream.INIT)) for lane in range(lanes)])
    flat += 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    return Network(MODEL, views(flat, MODEL.layout))


def drawn(recipe: EvalRecipe, seeds: list[int], lanes: Network | None = None) -> torch.Tensor:
    with torch.no_grad():
        parts = samples(lanes or network(len(seeds)), Interpolant(), recipe, seeds)
        return torch.cat([images for _, images in parts], dim=1)


def test_exactly_n_samples_are_drawn_also_when_the_batch_does_not_divide_n():
    starts = [start for start, _ in samples(network(1), Interpolant(), EvalRecipe(samples=25, batch=10, nfe=2), [0])]
    assert starts == [0, 10, 20]
    assert drawn(EvalRecipe(samples=25, batch=10, nfe=2), [0]).shape == (1, 25, 1, 4, 4)


def test_one_euler_step_is_noise_plus_velocity_with_labels_in_turn():
    lanes = network(1)
    got = drawn(EvalRecipe(samples=7, batch=7, nfe=1), [5], lanes)
    noise = torch.randn((7, 1, 4, 4), generator=generator(5, Stream.SAMPLE, 0))[None]
    labels = torch.tensor([[0, 1, 2, 0, 1, 2, 0]])
    with torch.no_grad():
        expected = noise + lanes(noise, Conditioning(torch.zeros(1, 7), labels)).prediction
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("count", [1, 3, 8, 11, 16, 29])
def test_the_first_samples_do_not_depend_on_how_many_are_drawn(count):
    model = SiT(SiTRecipe(width=16, depth=1, heads=2, patch=1), (1, 3, 5), 3, 1000.0, CPU)
    flat = torch.stack([model.initial_weights(generator(0, Stream.INIT))])
    lanes = Network(model, views(flat, model.layout))
    few, all_ = (drawn(EvalRecipe(samples=n, batch=8, nfe=1), [3], lanes) for n in (max(count, 2), 40))
    torch.testing.assert_close(few, all_[:, : max(count, 2)])


@pytest.mark.parametrize(("first", "until"), [(0, 7), (8, 16), (11, 13), (11, 29), (16, 40), (39, 40), (12, 12)])
def test_samples_from_a_number_on_are_those_of_that_number(first, until):
    recipe, lanes = EvalRecipe(samples=40, batch=8, nfe=1), network(2)
    with torch.no_grad():
        parts = list(samples(lanes, Interpolant(), recipe, [3, 4], first=first, until=until))
    sizes = [images.shape[1] for _, images in parts]
    assert [start for start, _ in parts] == [first + sum(sizes[:i]) for i in range(len(sizes))]
    assert sum(sizes) == until - first
    assert max(sizes, default=0) <= 8
    whole = drawn(recipe, [3, 4], lanes)
    for (start, images), size in zip(parts, sizes, strict=True):
        torch.testing.assert_close(images, whole[:, start : start + size])


def test_more_samples_than_the_recipes_can_be_drawn():
    few, many = EvalRecipe(samples=5, batch=8, nfe=1), EvalRecipe(samples=20, batch=8, nfe=1)
    lanes = network(1)
    with torch.no_grad():
        got = torch.cat([images for _, images in samples(lanes, Interpolant(), few, [3], until=20)], dim=1)
    assert torch.equal(got, drawn(many, [3], lanes))


def test_lanes_of_one_seed_share_their_noise():
    same = Network(MODEL, {name: part.expand(2, *part.shape[1:]) for name, part in network(1).weights.items()})
    recipe = EvalRecipe(samples=10, batch=5, nfe=2)
    pair = drawn(recipe, [4, 4], same)
    torch.testing.assert_close(pair[0], pair[1])
    assert not torch.allclose(*drawn(recipe, [4, 6], same))


def test_guidance_mixes_conditional_and_unconditional_velocities():
    lanes, labels = network(1), torch.tensor([[0, 1, 2]])
    noise = torch.randn((3, 1, 4, 4), generator=generator(0, Stream.SAMPLE, 0))[None]
    with torch.no_grad():
        with_label = lanes(noise, Conditioning(torch.zeros(1, 3), labels)).prediction
        without = lanes(noise, Conditioning(torch.zeros(1, 3), torch.full((1, 3), 3))).prediction
    got = drawn(EvalRecipe(samples=3, batch=3, nfe=1, cfg=2.5), [0], lanes)
    torch.testing.assert_close(got, noise + without + 2.5 * (with_label - without), rtol=1e-4, atol=1e-5)


class Tape:
    """Stands in for a CUDA graph: what is recorded is done at every replay."""

    def aside(self, function):
        return function()

    def record(self, function):
        self._function, self._result = function, torch.zeros_like(function())
        return self._result

    def replay(self):
        self._result.copy_(self._function())


@pytest.mark.parametrize(("first", "until"), [(0, 25), (13, 38), (7, 10), (0, 10), (2, 40)])
def test_where_whole_batches_are_captured_parts_are_taken_from_them(first, until, monkeypatch):
    recipe, lanes, sizes = EvalRecipe(samples=40, batch=10, nfe=2), network(2), []

    def draw() -> torch.Tensor:
        with torch.no_grad():
            parts = list(samples(lanes, Interpolant(), recipe, [3, 4], first=first, until=until))
        return torch.cat([images for _, images in parts], dim=1)

    def counted(self, network, noise, labels, evaluation, more):
        sizes.append(noise.shape[1])
        return solve(self, network, noise, labels, evaluation, more)

    expected, solve = draw(), Interpolant.sample
    monkeypatch.setattr(Interpolant, "sample", counted)
    monkeypatch.setattr(sample, "CapturedCall", lambda *given, **how: CapturedCall(*given, recorder=Tape(), **how))
    torch.testing.assert_close(draw(), expected)
    assert set(sizes) == ({10} if until - first > 10 else {until - first})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "recipe", [EvalRecipe(samples=45, batch=10, nfe=4, cfg=c, solver=s) for c, s in ((1.0, "euler"), (2.0, "heun"))]
)
def test_samples_of_a_graph_are_those_drawn_one_evaluation_after_the_other(recipe, monkeypatch):
    model = SiT(SiTRecipe(width=16, depth=1, heads=2), (1, 4, 4), 3, 1000.0, torch.device("cuda"))
    lanes = Network(model, {name: part.cuda() for name, part in network(2).weights.items()})

    def all_of_them() -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([images for _, images in samples(lanes, Interpolant(), recipe, [3, 4])], dim=1)

    played = all_of_them()
    monkeypatch.setattr("trainer.sampling.samples.CapturedCall.__call__", lambda self, *given: self._function(*given))
    torch.testing.assert_close(played, all_of_them(), rtol=1e-4, atol=1e-5)
