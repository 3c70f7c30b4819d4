"""The memory bank against loops written from the definition, and the queue against a list."""

from __future__ import annotations

import math

import pytest
import torch

from trainer.backbones.protocol import TapShape
from trainer.recipe import VARIANTS, Dispersion
from trainer.regularisers.dispersive import dispersive_loss
from trainer.regularisers.dispersive_term import DispersiveTerm
from trainer.regularisers.floor import Compared, bounds
from trainer.regularisers.memory_bank import Bank, fill_level, fill_levels
from trainer.regularisers.protocol import State

CPU = torch.device("cpu")
B, N, E, SIZE = 4, 7, 6, 7
WIDE = torch.float64
# Variant and units of tau, which have distances or angles to compare.
FORMS = [(name, units) for name, facts in VARIANTS.items() if facts.has_negatives for units in facts.units]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=WIDE)


def naive(z: torch.Tensor, earlier: torch.Tensor, tau: float, variant: str, units: str, factor: float = 1) -> float:
    """The mean over all pairs of a sample with the batch, itself included, and with what is in the bank."""
    others = [*z, *earlier]
    squared = [[factor * float(((a - b) ** 2).mean()) for b in others] for a in z]
    pairs = sorted(d for i, row in enumerate(squared) for j, d in enumerate(row) if i != j)
    unit = {"absolute": 1.0, "relative": sum(pairs) / len(pairs), "median": pairs[(len(pairs) - 1) // 2]}[units]
    total = 0.0
    for i, a in enumerate(z):
        for j, b in enumerate(others):
            if variant == "cosine":
                total += math.exp(float(a @ b / (a.norm() * b.norm())) / tau)
            elif variant == "l2":
                total += math.exp(-squared[i][j] / unit / tau)
            elif variant == "hinge":
                total += max(0.0, tau - squared[i][j]) ** 2
            else:
                raise AssertionError(f"write out the formula of {variant!r} here")
    mean = total / (len(z) * len(others))
    return mean if variant == "hinge" else math.log(mean)


@pytest.mark.parametrize("filled", [0, 3, N])
@pytest.mark.parametrize(("variant", "units"), FORMS)
def test_only_what_is_filled_counts_and_the_loss_is_that_of_its_definition(variant, units, filled):
    z, entries, tau = random(2, B, E), random(2, N, E, seed=1), torch.tensor([0.7, 2.0], dtype=WIDE)
    bank = Bank(entries, torch.tensor([filled, filled]))
    found = dispersive_loss(z, tau, variant, units, bank=bank)
    expected = [naive(z[k], entries[k, N - filled :], float(tau[k]), variant, units) for k in range(2)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    if filled == 0:
        torch.testing.assert_close(found, dispersive_loss(z, tau, variant, units), rtol=1e-12, atol=0)


@pytest.mark.parametrize("variant", ["l2", "hinge"])
@pytest.mark.parametrize("filled", [None, 3])
def test_a_summed_distance_is_not_divided_by_the_number_of_elements(variant, filled):
    z, entries, tau = random(1, B, E), random(1, N, E, seed=1), torch.tensor([9.0], dtype=WIDE)
    bank = None if filled is None else Bank(entries, torch.tensor([filled]))
    found = dispersive_loss(z, tau, variant, distance="sum", bank=bank)
    assert float(found) == pytest.approx(
        naive(z[0], entries[0, N - (filled or 0) :], 9.0, variant, "absolute", E), rel=1e-12
    )


@pytest.mark.parametrize(("variant", "units"), FORMS)
def test_the_gradient_is_that_of_finite_differences_and_none_reaches_the_bank(variant, units):
    z, entries = random(1, B, E).requires_grad_(), random(1, N, E, seed=1).requires_grad_()
    tau = torch.tensor([1.5], dtype=WIDE)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return dispersive_loss(x, tau, variant, units, bank=Bank(entries.detach(), torch.tensor([5])))

    assert torch.autograd.gradcheck(loss, (z,))
    through = dispersive_loss(z, tau, variant, units, bank=Bank(entries, torch.tensor([5])))
    assert torch.autograd.grad(through.sum(), entries, allow_unused=True) == (None,)


@pytest.mark.usefixtures("float64")
def test_the_bank_holds_the_last_representations_first_in_first_out():
    setting = Dispersion(blocks=(0, 1), lam=0.1, tau=0.5, negatives=SIZE)
    term = DispersiveTerm([setting] * 2, B, (TapShape(2, 3), TapShape(2, 3)), CPU)
    first = term.initial_state(torch.Generator())
    buffers = {name: torch.stack([part] * 2) for name, part in first.buffers.items()}
    seen: list[torch.Tensor] = []
    for step in range(4):
        taps = {tap: random(2, B, 2, 3, seed=10 * step + tap) for tap in range(2)}
        expected = [
            sum(
                naive(taps[tap][k].flatten(1), _of(seen, k)[:, 6 * tap : 6 * tap + 6], 0.5, "l2", "absolute")
                for tap in (0, 1)
            )
            / 2
            for k in range(2)
        ]
        added = term(taps, None, State({}, buffers))
        assert added.term.tolist() == pytest.approx(expected, rel=1e-12)
        levels = min(SIZE, B * step)
        floor = -math.log(B + levels)
        assert added.recorded["floor_distance"].tolist() == pytest.approx([x - floor for x in expected], rel=1e-9)
        buffers = dict(added.buffers)
        seen.append(torch.cat([taps[0].flatten(2), taps[1].flatten(2)], 2))
        assert buffers["bank_filled"].tolist() == [min(SIZE, B * (step + 1))] * 2
        held = buffers["bank"][:, SIZE - min(SIZE, B * (step + 1)) :]
        assert torch.equal(held, torch.cat(seen, 1)[:, -SIZE:])


def _of(seen: list[torch.Tensor], lane: int) -> torch.Tensor:
    return torch.cat([part[lane] for part in seen])[-SIZE:] if seen else torch.zeros(0, 12, dtype=WIDE)


@pytest.fixture
def float64():
    torch.set_default_dtype(WIDE)
    yield
    torch.set_default_dtype(torch.float32)


def test_levels_are_those_that_a_bank_is_filled_to_step_by_step():
    assert list(fill_levels(20, 8)) == [0, 8, 16, 20]
    assert fill_level(torch.tensor([0, 8, 16, 20]), 8).tolist() == [0, 1, 2, 3]
    assert list(fill_levels(4, 8)) == [0, 4]
    assert fill_level(torch.tensor([0, 4]), 8).tolist() == [0, 1]


def test_lanes_whose_banks_differ_in_size_are_refused():
    shapes = (TapShape(2, 3),) * 2
    with pytest.raises(ValueError, match=r"lanes 0 and 1 cannot train together, .* 8 entries of 1 block and none"):
        DispersiveTerm([Dispersion(lam=0.1, negatives=8), Dispersion(lam=0.1)], B, shapes, CPU)
    with pytest.raises(ValueError, match="8 entries of 1 block and 8 entries of 2 blocks"):
        DispersiveTerm(
            [Dispersion(lam=0.1, negatives=8), Dispersion(blocks=(0, 1), lam=0.1, negatives=8)], B, shapes, CPU
        )


def test_a_bank_takes_four_bytes_a_number_of_each_block():
    term = DispersiveTerm([Dispersion(blocks=(0, 1), lam=0.1, negatives=8)], B, (TapShape(2, 3), TapShape(4, 3)), CPU)
    bank = term.initial_state(torch.Generator()).buffers["bank"]
    assert bank.numel() * bank.element_size() == 4 * 8 * 2 * 12


def reached(variant, features, tau, filled) -> float:
    """The least loss that descending from many starts finds, on the batch and on what is in the bank."""
    tokens, width = 2, 8
    best = math.inf
    for seed in range(3):
        z, bank = random(1, B, tokens, width, seed=seed), random(1, filled, tokens, width, seed=seed + 50)
        z, bank = z.requires_grad_(), bank.requires_grad_()
        optimiser = torch.optim.Adam([z, bank], lr=0.1)
        for _ in range(600):
            optimiser.zero_grad()
            loss = _loss(z, bank, variant, features, tau)
            loss.backward()
            optimiser.step()
            best = min(best, float(loss.detach()))
    return best


def _loss(z, bank, variant, features, tau):
    own, earlier = (
        (torch.nn.functional.layer_norm(part, part.shape[-1:]) if features == "layer_norm" else part)[0].flatten(1)
        for part in (z, bank)
    )
    keys = torch.cat([own, earlier])
    squared = (own[:, None] - keys[None]).square().mean(2)
    if variant == "cosine":
        unit, other = own / own.norm(dim=1, keepdim=True), keys / keys.norm(dim=1, keepdim=True)
        return (unit @ other.T / tau).exp().mean().log()
    return (-squared / tau).exp().mean().log() if variant == "l2" else (tau - squared).clamp_min(0).square().mean()


@pytest.mark.parametrize(
    ("variant", "features", "tau", "filled"),
    [
        ("l2", "layer_norm", 0.5, 0),
        ("l2", "layer_norm", 3.0, 6),
        ("cosine", "raw", 0.5, 6),
        ("cosine", "layer_norm", 2.0, 3),
        ("hinge", "layer_norm", 3.5, 0),
        ("hinge", "layer_norm", 3.5, 6),
        ("hinge", "raw", 0.5, 6),
    ],
)
def test_descending_on_batch_and_bank_reaches_the_floor_and_does_not_undercut_it(variant, features, tau, filled):
    compared = Compared(B, 2, 8, features, bank=torch.tensor([filled]))
    found = bounds(torch.tensor([tau], dtype=WIDE), variant, "absolute", compared)
    least = reached(variant, features, tau, filled) - float(found.floor)
    assert -1e-6 < least < 0.01 * float(found.span)
