"""The contrastive loss against torch's cross entropy."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from trainer.regularisers.contrastive import contrastive_loss


def random(*shape: int, number: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)


def reference(one: torch.Tensor, other: torch.Tensor, tau: float, distance: str) -> float:
    """InfoNCE as classification: of 2B - 1 others, which is the partner?"""
    z, batch = torch.cat([one, other]), len(one)
    if distance == "cosine":
        logits = normalize(z, dim=1) @ normalize(z, dim=1).T / tau
    else:
        logits = -torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist").square() / z.shape[1] / tau
    logits = logits.fill_diagonal_(-torch.inf)
    return float(cross_entropy(logits, torch.arange(2 * batch).roll(batch)))


@pytest.mark.parametrize("distance", ["l2", "cosine"])
@pytest.mark.parametrize("tau", [0.1, 2.0])
def test_the_loss_is_the_cross_entropy_of_finding_each_images_other_view(distance, tau):
    one, other = random(3, 5, 7), random(3, 5, 7, number=1)
    expected = [reference(one[lane], other[lane], tau, distance) for lane in range(3)]
    assert contrastive_loss(one, other, tau, distance).tolist() == pytest.approx(expected, rel=1e-12)


def test_bf16_representations_are_compared_in_float32():
    one, other = (part.bfloat16() for part in (random(1, 4, 6), random(1, 4, 6, number=1)))
    loss = contrastive_loss(one, other, 0.5, "l2")
    assert loss.dtype == torch.float32
    assert torch.equal(loss, contrastive_loss(one.float(), other.float(), 0.5, "l2"))


def test_a_batch_of_one_has_no_negatives_and_no_loss():
    assert contrastive_loss(random(2, 1, 3), random(2, 1, 3, number=1), 0.5, "l2").tolist() == [0, 0]
