from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.evaluation.torch_fidelity import kid, precision_recall, reference_metrics, torch_fidelity

# A stand-in with what torch-fidelity imports of torchvision; like the real one it decorates operators on import.
STAND_IN = {
    "__init__.py": "from . import extension, ops, datasets, transforms",
    "extension.py": "",
    "ops.py": (
        "import torch\n"
        "import torchvision.extension\n"
        "torchvision.extension\n"
        "@torch.library.register_fake('torchvision::nms')\ndef nms(d, s, i): return d\n"
        "@torch.library.register_fake('torchvision::qnms')\ndef qnms(d, s, i): return d\n"
    ),
    "datasets.py": "class CIFAR10: pass\nclass CIFAR100: pass\nclass STL10: pass",
    "transforms/__init__.py": "from . import functional",
    "transforms/functional.py": "",
}
DEFINE_OPERATORS = """
library = torch.library.Library("torchvision", "DEF")
for op in ("nms", "qnms"):
    library.define(op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
REPORT = """
module = fidelity.torch_fidelity()
print(module.__version__, len(fidelity._libraries), fidelity.torch_fidelity() is module, sys.modules["torchvision"])
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    for name, content in STAND_IN.items():
        file = tmp_path / "torchvision" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    return tmp_path


def run(*code: str, path: Path | None = None) -> list[str]:
    start = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else "import sys\n"
    start += "import torch\nfrom trainer.evaluation import torch_fidelity as fidelity\n"
    command = [sys.executable, "-c", start + "\n".join(code)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_a_torchvision_that_lacks_its_operators_is_lent_their_schemas(stand_in: Path) -> None:
    version, lent, same, *module = run(REPORT, path=stand_in)
    assert (version[:2], lent, same) == ("0.", "1", "True")
    assert str(stand_in) in "".join(module)


def test_a_torchvision_that_imports_by_itself_is_left_alone(stand_in: Path) -> None:
    _, lent, same, *_ = run(DEFINE_OPERATORS, REPORT, path=stand_in)
    assert (lent, same) == ("0", "True")


def test_an_import_that_failed_half_way_earlier_is_repaired_too(stand_in: Path) -> None:
    failed = "try:\n    import torchvision\nexcept RuntimeError:\n    pass\nelse:\n    raise SystemExit(3)"
    _, lent, same, *_ = run(failed, REPORT, path=stand_in)
    assert (lent, same) == ("1", "True")


def test_a_torchvision_that_is_broken_in_another_way_fails_with_its_own_error(stand_in: Path) -> None:
    (stand_in / "torchvision" / "extension.py").write_text("raise RuntimeError('built for another torch')")
    report = "try:\n    fidelity.torch_fidelity()\nexcept RuntimeError as error:\n    print(error)"
    assert " ".join(run(report, path=stand_in)) == "built for another torch"


def test_the_installed_torchvision_and_torch_fidelity_can_be_imported() -> None:
    assert torch_fidelity().calculate_metrics
    assert "torchvision.transforms.functional" in sys.modules


def cloud(count: int, shift: float = 0.0, seed: int = 0) -> Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)) + shift


def test_kid_is_near_zero_for_one_distribution_and_grows_with_the_gap() -> None:
    scores = [kid(cloud(400, shift), cloud(300, seed=1)) for shift in (0.0, 0.5, 1.0)]
    assert abs(scores[0]) < 0.02
    assert scores[0] + 0.1 < scores[1] < scores[2]


def test_kid_of_fewer_samples_than_a_subset_uses_all_of_them() -> None:
    narrow = cloud(40), cloud(60, 0.3, seed=1)
    x, y = (part.double() for part in narrow)
    within = [((a @ a.T / 16 + 1) ** 3) for a in (x, y[:40])]
    off_diagonal = [(k.sum() - k.trace()) / (40 * 39) for k in within]
    expected = off_diagonal[0] + off_diagonal[1] - 2 * ((x @ y[:40].T / 16 + 1) ** 3).mean()
    assert kid(narrow[0], narrow[1][:40]) == pytest.approx(float(expected), rel=1e-9)


def test_precision_and_recall_tell_missing_modes_from_bad_samples() -> None:
    reference = torch.cat([cloud(300, -4), cloud(300, 4, seed=1)])
    one_mode = precision_recall(cloud(300, 4, seed=2), reference)
    strays = precision_recall(torch.cat([reference + 1e-3, cloud(600, 40, seed=3)]), reference)
    assert one_mode.precision > 0.8
    assert one_mode.recall < 0.55
    assert strays.precision == pytest.approx(0.5, abs=0.01)
    assert strays.recall > 0.99


@pytest.mark.parametrize(("samples", "reference", "rows"), [(700, 300, 10_000), (700, 300, 128), (3, 5, 2), (2, 40, 7)])
def test_precision_and_recall_are_torch_fidelitys_bit_for_bit(
    samples: int, reference: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = cloud(samples, 0.3), cloud(reference, seed=1)
    x[1] = x[0]  # a tie
    monkeypatch.setattr("trainer.evaluation.torch_fidelity._DISTANCES", rows * max(samples, reference))
    torch_fidelity()
    theirs = importlib.import_module("torch_fidelity.metric_prc").calculate_precision_recall_part
    assert precision_recall(x, y) == theirs(x, y, min(3, samples - 1, reference - 1), rows)


def test_precision_and_recall_do_not_depend_on_the_memory_they_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = cloud(200, 0.5), cloud(150, seed=1)
    whole = precision_recall(x, y)
    monkeypatch.setattr("trainer.evaluation.torch_fidelity._DISTANCES", 1400)
    assert precision_recall(x, y) == whole


def test_two_samples_are_enough_not_to_fail() -> None:
    x, y = cloud(2), cloud(5, seed=1)
    assert isinstance(kid(x, y), float)
    assert 0 <= precision_recall(x, y).precision <= 1


def test_reference_metrics_are_torch_fidelitys_on_our_features() -> None:
    samples, reference = cloud(300, 0.2).reshape(-1, 1, 4, 4), cloud(250, seed=1).reshape(-1, 1, 4, 4)
    seen: list[tuple[int, ...]] = []

    def extract(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return images.flatten(1) * 2

    scores = reference_metrics(samples, reference, "doubled", extract, ["fid", "kid", "prc"])
    assert seen == [(250, 1, 4, 4), (50, 1, 4, 4), (250, 1, 4, 4)]
    assert scores["kernel_inception_distance_mean"] == pytest.approx(
        kid(samples.flatten(1) * 2, reference.flatten(1) * 2)
    )
    ours = precision_recall(samples.flatten(1) * 2, reference.flatten(1) * 2)
    assert (scores["precision"], scores["recall"]) == pytest.approx(ours)
    alone = reference_metrics(samples, reference, "doubled", extract, ["fid"])
    assert alone == {"frechet_inception_distance": scores["frechet_inception_distance"]}


def test_reference_metrics_leave_no_cache_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    images = cloud(20).reshape(-1, 1, 4, 4)
    reference_metrics(images, images, "cacheless", lambda x: x.flatten(1), ["fid", "kid"])
    assert list(tmp_path.iterdir()) == []
