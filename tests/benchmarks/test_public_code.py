"""The comparison with public code says in a line what it lacks; its figures are in reports/."""

from pathlib import Path

import pytest
import torch

from tests.benchmarks.public_code import CODES, LIMIT, compare, main, table
from tests.benchmarks.public_rows import Row, apart


@pytest.mark.parametrize("name", CODES)
def test_a_checkout_that_is_missing_is_one_line(name: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for given, says in ((None, "no checkout given"), (gone, f"{gone}: no such checkout")):
        assert compare({name: given}) == ([], [f"--{name}: not compared: {says}"])


@pytest.mark.parametrize("name", CODES)
def test_a_folder_without_the_code_or_a_package_that_is_missing_is_one_line(name: str, tmp_path: Path) -> None:
    rows, (line,) = compare({name: tmp_path})
    assert rows == []
    assert line.startswith(f"--{name}: not compared: ")
    assert "\n" not in line


def test_nothing_compared_is_no_success(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["public_code"])
    monkeypatch.setattr("tests.benchmarks.public_code.prepare", lambda **_: None)  # it sets up the whole process
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().out.splitlines()) == len(CODES)


def test_a_difference_is_relative_to_their_largest_number() -> None:
    assert apart(torch.tensor([1.0, -4.0]), torch.tensor([1.5, -4.0])) == 0.125
    assert "| it | loss | 1.2e-01 |" in table([Row("it", "loss", 0.125)])
    with pytest.raises(ValueError, match=r"ours is \[2\], theirs \[1\]"):
        apart(torch.ones(2), torch.ones(1))


def test_the_last_figures_are_within_the_limit() -> None:
    note = (Path(__file__).parents[2] / "reports" / "public_code_2026-11-26.md").read_text()
    figures = [line.split("|")[-2] for line in note.splitlines() if line.count("|") == 4 and "e-" in line]
    assert len(figures) > 40
    assert max(map(float, figures)) < LIMIT
