"""What the objective is called with an extractor that is not FID's."""

from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.render.markdown import render_markdown
from tests.sweeper.guide.study_records import grid_cells, harmful, make_record, make_study, simulate
from trainer.recipe import EvalRecipe


@pytest.mark.parametrize(("extractor", "called"), [("dinov2", "FD-DINOv2-10K"), ("clip", "FD-CLIP-10K")])
def test_a_guide_calls_the_objective_by_its_extractor_and_records_keep_its_name(extractor: str, called: str) -> None:
    study = make_study(recipe={"eval": {"extractor": extractor, "weights": "weights.pt", "rung_samples": 10000}})
    cells = grid_cells(study)
    trials = simulate(study, cells, harmful) + simulate(study, cells[:2], harmful, "confirm", range(100, 105))
    guide = assemble_guide(make_record(study, trials))
    assert guide.objective == "fid_10k"
    text = render_markdown(guide, {})
    assert called in text
    assert "FID-10K" not in text


def test_inception_and_the_domain_extractor_give_a_fid() -> None:
    assert EvalRecipe().distance == EvalRecipe(extractor="inception", weights="w").distance == "FID"
