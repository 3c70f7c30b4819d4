"""`sweeper init --from`: an atlas's heuristics as a first study."""

from pathlib import Path

import pytest

from sweeper.commands.init import write_template
from sweeper.errors import DataError, StudyError
from sweeper.guide.atlas.assemble import assemble_atlas
from sweeper.guide.atlas.first_study import TAUS, advice
from sweeper.guide.atlas.units import TAU
from sweeper.render.atlas import write_atlas
from sweeper.study.yaml_files import read_study
from tests.sweeper.guide.atlas.many_studies import lambda_hurts, last_block_is_best, nothing, scopes


def written(folder: Path, effect, template: str = "default") -> Path:
    write_atlas(assemble_atlas(scopes(effect)), folder / "atlas")
    write_template(folder / "mine.yaml", template, folder / "atlas")
    return folder / "mine.yaml"


def test_a_knob_with_a_heuristic_takes_its_value_and_the_others_the_templates(tmp_path: Path) -> None:
    file = written(tmp_path, last_block_is_best)
    space = read_study(file).space
    assert space.block == (1.0,)
    assert space.tau == (0.5,)
    text = file.read_text()
    assert "# Of blocks, choose one in the last third of the network." in text
    assert "It says nothing of tau: the template's values stand." in text


def test_lambdas_to_be_avoided_are_left_out(tmp_path: Path) -> None:
    space = read_study(written(tmp_path, lambda_hurts)).space
    assert isinstance(space.lam, tuple)
    assert max(space.lam) < 0.03


@pytest.mark.parametrize("template", ["default", "latents"])
def test_lambdas_come_with_the_form_of_the_loss_that_they_were_found_with(tmp_path: Path, template: str) -> None:
    """A lambda of the loss in mean distances says nothing of the other, whose weight grows with the features."""
    write_atlas(assemble_atlas(scopes(lambda_hurts, tau_units="relative")), tmp_path / "atlas")
    write_template(tmp_path / "mine.yaml", template, tmp_path / "atlas")
    text = (tmp_path / "mine.yaml").read_text()
    assert text.count("tau_units: relative") == 1
    assert text.count("  tau: [") == 1
    assert "with tau relative: it does harm" in text


def test_a_template_in_mean_distances_takes_no_lambda_of_the_other_form(tmp_path: Path) -> None:
    text = written(tmp_path, lambda_hurts, "latents").read_text()
    assert "It says nothing of block and lambda and tau" in text


def test_without_a_heuristic_the_template_stands_and_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, nothing)
    write_template(tmp_path / "plain.yaml", "default")
    assert read_study(file) == read_study(tmp_path / "plain.yaml")
    assert "# It says nothing of block and lambda and tau" in file.read_text()


@pytest.mark.parametrize("template", ["default", "folder", "latents", "module", "gpu"])
def test_every_template_can_be_advised(tmp_path: Path, template: str) -> None:
    assert "  block: [1.0]" in written(tmp_path, last_block_is_best, template).read_text()


def test_every_range_of_tau_is_written_by_values_inside_it() -> None:
    for name, values in TAUS.items():
        assert {TAU.name(float(one)) for one in values.strip("[]").split(",")} == {name}


def test_a_missing_or_foreign_atlas_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"atlas\.json is not there"):
        write_template(tmp_path / "a.yaml", "default", tmp_path)
    (tmp_path / "atlas.json").write_text("{}")
    with pytest.raises(DataError, match="no atlas that this version reads"):
        write_template(tmp_path / "a.yaml", "default", tmp_path)
    assert not (tmp_path / "a.yaml").exists()


def test_an_atlas_of_nothing_has_no_advice() -> None:
    assert advice(assemble_atlas([])) == {}
