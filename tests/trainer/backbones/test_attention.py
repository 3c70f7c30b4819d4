import torch

from trainer.backbones.attention import fused


def test_a_batch_too_large_for_a_kernel_is_attended_to_in_parts():
    q, k, v = (torch.randn(11, 2, 5, 4, generator=torch.Generator().manual_seed(s)).requires_grad_() for s in range(3))
    whole, parts = fused(q, k, v), fused(q, k, v, largest=4)
    torch.testing.assert_close(parts, whole)
    grads = [torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (whole, parts)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
