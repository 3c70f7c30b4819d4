"""What a first study gets wrong: a template not filled in, lambda 0 written down, an index that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StudyError
from sweeper.study.yaml_files import read_study, templates


def written(folder: Path, template: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(templates()[template], encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "line", "says"), [("folder", 13, "<folder of images>"), ("gpu", 11, "<latents.npz>")])
def test_what_a_template_leaves_open_is_refused_at_its_line_and_never_reaches_a_guide(
    tmp_path: Path, name: str, line: int, says: str
) -> None:
    path = written(tmp_path, name)
    with pytest.raises(StudyError, match=rf"yaml:{line}:11: recipe.data.path is to be filled in: {says}"):
        read_study(path)
    assert read_study(path, ["recipe.data.path=mine"]).recipe.data.path == "mine"


@pytest.mark.parametrize("axis", ["[0, 0.1]", "{low: 0, high: 1, count: 3}"])
def test_lambda_zero_is_said_to_run_always(tmp_path: Path, axis: str) -> None:
    with pytest.raises(StudyError, match="lambda 0, the baseline, always runs"):
        read_study(written(tmp_path, "default"), [f"space.lambda={axis}"])


def test_an_index_of_thousands_of_digits_is_told_in_one_short_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has items 0 to") as refused:
        read_study(written(tmp_path, "default"), [f"space.tau.{'1' * 5000}=1"])
    assert len(refused.value.message) < 400
