"""Where things lie in the repository, wherever a test of it does."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "studies"
SMOKE = STUDIES / "smoke.yaml"
