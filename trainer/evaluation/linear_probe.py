"""How well frozen tokens tell the classes apart, by tap and noise level: a linear probe and k nearest neighbours.

The network sees noised images without their label, which it could otherwise just repeat. A level is a quantile of the
training times: at .75 three quarters of them are noisier. For the linear path at uniform times that is the time t.

Shapes: K lanes, M training images, N held-out images, D width, C classes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, one_hot

from trainer.backbones.protocol import Network
from trainer.data.dataset import Dataset
from trainer.evaluation.held_out import CHUNK, CPU
from trainer.objectives.protocol import Objective
from trainer.recipe import EvalRecipe
from trainer.recipe.evaluation import probe_name
from trainer.recipe.metrics import PROBE_IMAGES, PROBE_NEIGHBOURS, PROBE_PENALTY, VALIDATION_IMAGES
from trainer.regularisers.representation import linear_cka
from trainer.rng.draws import Draw, from_generator
from trainer.rng.streams import Stream, generator

# Indices of the stream of validation; HeldOut counts its chunks from 1.
_CHOICE, _NOISE = 1_000_000, 1_000_001


class LinearProbe:
    """Fits and tests on fixed images and noise, the same for every trial of a data set: deterministic.

    At most 2,000 images of the training split, whatever data.limit is, and as many held-out ones as the validation loss
    sees. Tokens are averaged over an image.
    """

    def __init__(self, data: Dataset, objective: Objective, recipe: EvalRecipe, device: torch.device) -> None:
        self._data, self._objective, self._recipe, self._device = data, objective, recipe, device

    def metrics(self, network: Network, last: bool) -> dict[str, Tensor]:
        """Return accuracies from 0 to 1 and the CKA between taps, each [K], at the rungs that the recipe probes.

        'linear_probe_t<level>.block_<i>', 'knn_t<level>.block_<i>' and 'cka_t<level>.block_<i>', the mean CKA of a tap
        and each of the others; the level in per cent. Nothing of data of one class.
        """
        if not self._recipe.probes(last) or self._data.classes < 2:
            return {}
        metrics: dict[str, Tensor] = {}
        for level in self._recipe.probe_levels:
            taps = self._tokens(network, level)
            for tap, tokens in enumerate(taps):
                metrics |= {probe_name(kind, level, tap): value for kind, value in self._accuracies(tokens).items()}
            metrics |= self._similarities(taps, level)
        return metrics

    def held_tokens(self, network: Network, level: float) -> list[Tensor]:
        """Return the averaged tokens of the held-out images at a noise level, [K, N, D] a tap."""
        return [tokens[:, self._images[2] :] for tokens in self._tokens(network, level)]

    @cached_property
    def _images(self) -> tuple[Tensor, Tensor, int]:
        """Images and labels to fit on, then those to test on; and the number of the former."""
        data, random = self._data, generator(0, Stream.VALIDATION, _CHOICE)
        fit = torch.randperm(len(data.reference_images), generator=random)[:PROBE_IMAGES]
        test = torch.randperm(len(data.held_images), generator=random)[:VALIDATION_IMAGES]
        images = data.reference_images[fit.to(data.reference_images.device)], data.held_images[test]
        labels = data.reference_labels[fit.to(data.reference_labels.device)], data.held_labels[test]
        together = [torch.cat([part.to(self._device) for part in parts]) for parts in (images, labels)]
        return together[0], together[1], len(fit)

    def _tokens(self, network: Network, level: float) -> list[Tensor]:
        """Return the averaged tokens of all images at a noise level, [K, M + N, D] a tap."""
        parts: list[list[Tensor]] = [[] for _ in network.backbone.taps]
        for images, draws in self._noised(level):
            lanes = {name: part.expand(network.lanes, *part.shape) for name, part in draws.items()}
            no_label = torch.full((network.lanes, len(images)), network.backbone.classes, device=self._device)
            x, condition = self._objective.seen(images.expand(network.lanes, *images.shape), no_label, lanes)
            for tap, z_KBND in enumerate(network.walk(x, condition)):
                parts[tap].append(z_KBND.float().mean(2))
        return [torch.cat(part, 1) for part in parts]

    def _noised(self, level: float) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        images, _, _ = self._images
        share = level if self._rises else 1 - level
        for chunk, part in enumerate(torch.split(images, CHUNK)):
            yield part, self._draws(part, chunk, share)

    def _draws(self, images: Tensor, chunk: int, share: float) -> dict[str, Tensor]:
        """Return what is random for a chunk of images, at a share of training's times."""
        random, image = generator(0, Stream.VALIDATION, _NOISE + chunk), tuple(images.shape[1:])
        # Always of a whole chunk, on the CPU: torch draws other numbers for another shape.
        drawn = from_generator(self._objective.draws, random, CHUNK, image, CPU)
        return {
            name: _at(draw, share, part)[: len(images)].to(self._device)
            for (name, draw), part in zip(self._objective.draws.items(), drawn.values(), strict=True)
        }

    @cached_property
    def _rises(self) -> bool:
        """Whether an objective's time rises towards the data; MeanFlow's and DDPM's fall."""
        images = self._images[0][:CHUNK]
        labels = torch.zeros(1, len(images), dtype=torch.long, device=self._device)
        alike = []  # by direction: an objective may scale what the network sees
        for share in (0.1, 0.9):
            draws = {name: part[None] for name, part in self._draws(images, 0, share).items()}
            seen = self._objective.seen(images[None], labels, draws)[0][0]
            alike.append(float(cosine_similarity(seen.flatten(), images.flatten(), dim=0)))
        return alike[1] > alike[0]

    def _accuracies(self, tokens_KND: Tensor) -> Mapping[str, Tensor]:
        _, labels, count = self._images
        split = tokens_KND[:, :count], labels[:count], tokens_KND[:, count:], labels[count:]
        return {"linear_probe": linear_accuracy(*split), "knn": neighbour_accuracy(*split)}

    def _similarities(self, taps: list[Tensor], level: float) -> dict[str, Tensor]:
        count = self._images[2]
        held, total = [tokens[:, count:] for tokens in taps], torch.zeros(len(taps), len(taps[0]))
        for i, tokens in enumerate(held):
            for j in range(i):
                total[[i, j]] += linear_cka(tokens, held[j]).cpu()
        others = len(taps) - 1
        return {probe_name("cka", level, tap): row / others for tap, row in enumerate(total)} if others else {}


def linear_accuracy(fit_KMD: Tensor, labels_M: Tensor, test_KND: Tensor, held_N: Tensor) -> Tensor:
    """Return the accuracy of a linear classifier on the held-out images, [K]; NaN where tokens are not finite.

    Ridge regression on the classes' indicators, in closed form: features of mean 0 and deviation 1, a penalty of .01
    per training image.
    """
    x, y = _standardised(fit_KMD, test_KND)
    targets = one_hot(labels_M, int(max(labels_M.max(), held_N.max())) + 1).to(x)
    mean = targets.mean(0)
    penalty = PROBE_PENALTY * x.shape[1] * torch.eye(x.shape[2]).to(x)
    weights_KDC = torch.linalg.solve(x.mT @ x + penalty, x.mT @ (targets - mean))
    return _accuracy((y @ weights_KDC + mean).argmax(2), held_N, fit_KMD, test_KND)


def neighbour_accuracy(fit_KMD: Tensor, labels_M: Tensor, test_KND: Tensor, held_N: Tensor) -> Tensor:
    """Return the accuracy of a vote of the 10 nearest training images on standardised features, [K].

    Ties go to the first class. NaN where tokens are not finite.
    """
    x, y = _standardised(fit_KMD, test_KND)
    votes = []
    for fit, test in zip(x, y, strict=True):  # a lane at a time: distances are N x M
        nearest = torch.cdist(test, fit).topk(min(PROBE_NEIGHBOURS, len(fit)), largest=False).indices
        votes.append(one_hot(labels_M[nearest], int(labels_M.max()) + 1).sum(1).argmax(1))
    return _accuracy(torch.stack(votes), held_N, fit_KMD, test_KND)


def _at(draw: Draw, share: float, drawn: Tensor) -> Tensor:
    """Return the numbers as drawn for a draw per pixel, and their distribution's quantile for a draw per sample."""
    if draw.each == "pixel":
        return drawn
    quantile = torch.full_like(drawn, share)
    return quantile if draw.distribution == "uniform" else torch.special.ndtri(quantile)


def _standardised(fit_KMD: Tensor, test_KND: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in float64, by the mean and deviation of the former; 0 where they are not finite."""
    fit, test = (part.double().nan_to_num(0, 0, 0) for part in (fit_KMD, test_KND))
    std, mean = torch.std_mean(fit, 1, keepdim=True, correction=0)
    # A feature that is the same for all images tells nothing.
    scale = torch.where(std > 0, std, torch.ones_like(std))
    return (fit - mean) / scale, (test - mean) / scale


def _accuracy(guessed_KN: Tensor, held_N: Tensor, *seen: Tensor) -> Tensor:
    finite_K = torch.stack([part.flatten(1).isfinite().all(1) for part in seen]).all(0)
    return torch.where(finite_K, (guessed_KN == held_N).double().mean(1), torch.nan)
