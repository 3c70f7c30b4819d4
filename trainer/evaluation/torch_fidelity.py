"""The only module that imports torch-fidelity, our reference implementation of metrics; imported on first use."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Collection
from typing import Any, Literal, NamedTuple, assert_never

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from trainer.data.images import Images
from trainer.recipe.metrics import KID_SUBSET, KID_SUBSETS, NEIGHBOURS, PretrainedName

# Operators that torchvision 0.28 decorates while it is imported. Its PyPI build is linked against CUDA's torch, so
# beside a CPU-only torch its compiled half does not load and these are missing. Nothing here ever calls them.
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# A Library takes its definitions with it when it is collected, so the module keeps those it makes.
_libraries: list[torch.library.Library] = []

_DISTANCES = 16_000_000  # distances of a batch of precision and recall: 64 MB


def torch_fidelity() -> Any:
    """Import torch-fidelity; if that fails, define the operator schemas that torchvision lacks and import it again."""
    try:
        return importlib.import_module("torch_fidelity")
    # AttributeError is what a second import of torchvision meets after an earlier one failed half-way.
    except (RuntimeError, AttributeError):
        missing = [schema for name, schema in _SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
        if not missing:
            raise
    _forget("torchvision")
    _forget("torch_fidelity")
    _lend(missing)
    return importlib.import_module("torch_fidelity")


def _forget(package: str) -> None:
    """Remove the modules of a failed import, which the next one would otherwise find half initialised."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


def _lend(schemas: list[str]) -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in schemas:
        library.define(schema)  # type: ignore[no-untyped-call]
    _libraries.append(library)


def _part(module: str) -> Any:
    torch_fidelity()
    return importlib.import_module(f"torch_fidelity.{module}")


def kid(features_ND: Tensor, reference_MD: Tensor) -> float:
    """Kernel distance of features to the reference's (Binkowski et al. 2018), torch-fidelity's cubic kernel.

    The mean over 25 subsets of 1000 (or of all, where there are fewer); torch-fidelity's default of 100 subsets
    takes four times as long. The subsets are the same at every call.
    """
    size = min(KID_SUBSET, len(features_ND), len(reference_MD))
    settings = {"kid_subsets": KID_SUBSETS, "kid_subset_size": size, "verbose": False}
    # In float64: the unbiased estimate is a difference of sums far larger than itself.
    features, reference = features_ND.cpu().double(), reference_MD.cpu().double()
    scores = _part("metric_kid").kid_features_to_metric(features, reference, **settings)
    return float(scores["kernel_inception_distance_mean"])


def frechet_distance(features_ND: Tensor, mean_D: Tensor, covariance_DD: Tensor) -> float:
    """FID of features against given moments by torch-fidelity's formula, which takes seconds: for checks."""
    module = _part("metric_fid")
    drawn = module.fid_features_to_statistics(features_ND.cpu().double())
    reference = {"mu": mean_D.cpu().double().numpy(), "sigma": covariance_DD.cpu().double().numpy()}
    return float(module.fid_statistics_to_metric(drawn, reference, False)["frechet_inception_distance"])


class PrecisionRecall(NamedTuple):
    """Share of samples within the reference's manifold, and of the reference within the samples'."""

    precision: float
    recall: float


def precision_recall(features_ND: Tensor, reference_MD: Tensor) -> PrecisionRecall:
    """Precision and recall with 3 nearest neighbours (Kynkaanniemi et al. 2019); time grows as (N + M)^2.

    torch-fidelity's figures bit for bit, from its distances. It finds the neighbours with `kthvalue`, which takes
    three times as long as the distances; `topk` finds the same numbers in a quarter of the distances' time.
    """
    neighbours = min(NEIGHBOURS, len(features_ND) - 1, len(reference_MD) - 1)
    rows = max(1, _DISTANCES // max(len(features_ND), len(reference_MD)))
    features, reference = features_ND.cpu(), reference_MD.cpu()
    precision = _share_within(features, reference, neighbours, rows)
    return PrecisionRecall(precision, _share_within(reference, features, neighbours, rows))


def _share_within(points: Tensor, centres: Tensor, neighbours: int, rows: int) -> float:
    """Return the share of points that lie in a centre's ball, which reaches to its k-th neighbour of its own kind."""
    distances = _part("metric_prc").calc_cdist_part
    # The nearest of all is the centre itself.
    nearest = [
        distances(part, centres, rows).topk(neighbours + 1, largest=False).values for part in torch.split(centres, rows)
    ]
    radii = torch.cat(nearest)[:, -1]
    within = [(distances(part, centres, rows) <= radii).any(dim=1).float() for part in torch.split(points, rows)]
    return torch.cat(within).mean().item()


Metric = Literal["fid", "kid", "prc"]


def reference_metrics(
    samples: Tensor,
    reference: Tensor | Images,
    name: str,
    extract: Callable[[Tensor], Tensor],
    wanted: Collection[Metric],
) -> dict[str, float]:
    """Score samples with `torch_fidelity.calculate_metrics` from images to figures; takes seconds, for checks.

    `extract` gives the features [B, D] of images [B, C, H, W]; `name` must be its alone (carry its hash).
    Returns those of FID, KID, and precision with recall that are wanted, by torch-fidelity's names. KID and
    precision see the whole reference, whose pairs cost its size squared. No cache is read or written.
    """
    _register(name, extract)
    size = min(KID_SUBSET, len(samples), len(reference))
    scores: dict[str, float] = torch_fidelity().calculate_metrics(
        input1=_Images(samples),
        input2=_Images(reference),
        feature_extractor=name,
        fid="fid" in wanted,
        kid="kid" in wanted,
        prc="prc" in wanted,
        kid_subsets=KID_SUBSETS,
        kid_subset_size=size,
        prc_neighborhood=min(NEIGHBOURS, len(samples) - 1, len(reference) - 1),
        prc_batch_size=1000,
        batch_size=250,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    return {metric: float(score) for metric, score in scores.items()}


class _Images(TorchDataset[Tensor]):
    """Images as torch-fidelity takes them: one tensor at a time."""

    def __init__(self, images: Tensor | Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return self._images[index]


def _register(name: str, extract: Callable[[Tensor], Tensor]) -> None:
    """Make `extract` known to torch-fidelity as `name`, once."""
    registry = _part("registry")
    if name in registry.FEATURE_EXTRACTORS_REGISTRY:
        return
    base = _part("feature_extractor_base").FeatureExtractorBase

    class Registered(base):  # type: ignore[misc, valid-type]
        def __init__(self, name: str, features_list: list[str], **_: object) -> None:
            super().__init__(name, features_list)

        # In float64: torch-fidelity takes means in the features' own type, off by 1e-4 of FID in float32.
        def forward(self, images: Tensor) -> tuple[Tensor]:
            return (extract(images).cpu().double(),)

        @staticmethod
        def get_provided_features_list() -> tuple[str]:
            return ("features",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:  # noqa: ARG004 (torch-fidelity's signature)
            return "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

    registry.register_feature_extractor(name, Registered)


def pretrained(kind: PretrainedName, state: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Return torch-fidelity's inception, clip or dinov2 with these weights: uint8 RGB [B, 3, H, W] -> [B, D].

    inception takes torch-fidelity's converted TensorFlow weights, clip OpenAI's, dinov2 Meta's. Raises whatever
    torch raises for weights that do not fit.
    """
    match kind:
        case "dinov2":
            return _first(_dinov2(state))
        case "clip":
            return _first(_clip(state))
        case "inception":
            return Inception(state)
        case _:
            assert_never(kind)


class Inception:
    """torch-fidelity's Inception, which is TensorFlow's of 2015: features, a map of them, logits of 1,008 classes."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        # torch-fidelity 0.4.0 accepts only a file, and unpickles it without checks: we give it one that we wrote.
        written = io.BytesIO()
        torch.save(state, written)
        written.seek(0)
        inception = _part("feature_extractor_inceptionv3").FeatureExtractorInceptionV3
        outputs = ["2048", "logits_unbiased"]
        self._module: Any = inception("inception-v3-compat", outputs, feature_extractor_weights_path=written)
        # ADM's evaluator names it by its place in TensorFlow's graph, mixed_6/conv: after norm and ReLU, not before.
        self._module.Mixed_6d.branch1x1.register_forward_hook(self._keep)
        self._map = torch.empty(0)

    def _keep(self, _module: object, _given: object, out: Tensor) -> None:
        self._map = out

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features [B, 2048] of uint8 RGB images [B, 3, H, W]."""
        return self.look(images)[0]

    def look(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return their features [B, 2048], the map mixed_6 [B, 192, 17, 17], and logits [B, 1008] without the bias."""
        features, logits = self._module.to(images.device)(images)
        seen, self._map = self._map, torch.empty(0)
        return features, seen, logits


def _first(module: Any) -> Callable[[Tensor], Tensor]:
    def extract(images: Tensor) -> Tensor:
        features: Tensor = module.to(images.device)(images)[0]
        return features

    return extract


def _dinov2(state: dict[str, Tensor]) -> Any:
    """torch-fidelity's extractor around our network: its own downloads from torch.hub and takes no weight file."""
    from trainer.evaluation.dinov2 import DinoV2

    module = _part("feature_extractor_dinov2")

    class Offline(module.FeatureExtractorDinoV2):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            _part("feature_extractor_base").FeatureExtractorBase.__init__(self, "dinov2-vit-b-14", ["dinov2"])
            self.feature_extractor_internal_dtype = torch.float32
            self.model = DinoV2.load(state)
            self.requires_grad_(False)
            self.eval()

    return Offline()


def _clip(state: dict[str, Tensor]) -> Any:
    """torch-fidelity's extractor around its own network: by default it would run a TorchScript archive."""
    module = _part("feature_extractor_clip")

    class Offline(module.FeatureExtractorCLIP):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            # The name only chooses a download; sizes follow from the weights.
            _part("feature_extractor_base").FeatureExtractorBase.__init__(self, "clip-vit-b-32", ["clip"])
            self.feature_extractor_internal_dtype = torch.float32
            self.model = module.build_model(dict(state), torch.float32)
            self.resolution = self.model.visual.input_resolution
            self.requires_grad_(False)

    return Offline()
