"""Write the golden guide anew from its record: `python -m tests.golden.regenerate`. Read the diff before committing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from sweeper.records import StudyRecord
from sweeper.render.guide_folder import write_guide
from tests.golden import verdicts

HERE = Path(__file__).parent
RECORD = HERE / "study_record.json"
GUIDE = HERE / "guide.md"
VERDICTS = HERE / "verdicts.md"


def written() -> str:
    """The guide's markdown, as the recorded study gives it now; no sample grids, which a record does not hold."""
    record = StudyRecord.model_validate_json(RECORD.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        return write_guide(record, Path(folder), lambda _: None).read_text(encoding="utf-8")


if __name__ == "__main__":
    GUIDE.write_text(written(), encoding="utf-8")
    VERDICTS.write_text(verdicts.written(), encoding="utf-8")
