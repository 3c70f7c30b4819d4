"""Metrics that come in steps: how often a claim about one is false where seeds agree by chance.

`python -m tests.simulation.ties --studies 2000` draws a screen on 3 seeds, of 30 settings or of 2, which are too few to
say anything about noise, and one arm on fresh ones, in a share of 1,438 images at .6 that nothing moves, whose noise is
a part of a step or some steps. The arm is tested in the direction that its screen showed, as a claim beside the
objective is, at .3 %: with variances as they are seen, and with a step's at least. A minute on one core; the markdown
goes to standard output.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import NamedTuple

import numpy as np

from sweeper.statistics.looks import PairedInLooks, direction_of, prior_of_screen
from sweeper.statistics.resolution import least_noise
from tests.simulation.worlds import SCREEN_SEEDS, SETTINGS, Array
from trainer.recipe import Better

METRIC, IMAGES, LEVEL = "recall_10k", 1438, 0.6
NOISE = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0)  # sd of a trial, in steps
SEEDS = (3, 5, 8)
ALPHA = 0.003
SCREENED = (2, SETTINGS)


class Study(NamedTuple):
    """Shares of a screen [C, S], the baseline's first; the arm's and the baseline's on eight fresh seeds, [2, S]."""

    screen_CS: Array
    fresh_2S: Array

    @property
    def direction(self) -> Better:
        """The side on which the screen saw the arm, which is its first setting."""
        return direction_of(float(np.log(self.screen_CS[1] / self.screen_CS[0]).mean()))


def study(noise: float, settings: int, number: int) -> Study:
    """Draw a study without an effect: the share lies anywhere within a step, where noise carries it over an edge."""
    rng = np.random.default_rng([number, settings, round(1000 * noise)])
    level = LEVEL * IMAGES + rng.random()
    screen_CS, fresh_2S = (
        np.round(level + noise * rng.standard_normal(shape)) / IMAGES
        for shape in ((settings + 1, SCREEN_SEEDS), (2, SEEDS[-1]))
    )
    return Study(screen_CS, fresh_2S)


def p_value(drawn: Study, seeds: int, least: float) -> float:
    """Return the p-value of the arm's claim on the first so many fresh seeds."""
    log_CS = np.log(drawn.screen_CS)
    own_S, base_S = np.log(drawn.fresh_2S[:, :seeds])
    tested = PairedInLooks(own_S - base_S, (seeds,), prior_of_screen(log_CS[1:], log_CS[0], least), least)
    return tested.p_of_claim(drawn.direction, better=drawn.direction)


def figures(noise: float, settings: int, studies: int) -> Counter[str]:
    """Count false claims by number of seeds, as it is and as it was."""
    total: Counter[str] = Counter()
    for number in range(studies):
        drawn = study(noise, settings, number)
        least = least_noise(METRIC, drawn.screen_CS)
        for seeds in SEEDS:
            total[f"{seeds} was"] += p_value(drawn, seeds, 0.0) <= ALPHA
            total[f"{seeds} is"] += p_value(drawn, seeds, least) <= ALPHA
    return total


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    tests = [(settings, seeds) for settings in SCREENED for seeds in SEEDS]
    print(f"| noise, steps | {' | '.join(f'{settings} settings, {seeds} seeds' for settings, seeds in tests)} |")
    print("|---" * (1 + len(tests)) + "|")
    for noise in NOISE:
        found = {settings: figures(noise, settings, studies) for settings in SCREENED}
        cells = (
            " -> ".join(f"{100 * found[settings][f'{seeds} {name}'] / studies:.1f}" for name in ("was", "is"))
            for settings, seeds in tests
        )
        print(f"| {noise:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
