import io

from rich.console import Console

from sweeper.commands import progress
from sweeper.commands.progress import Clock, display
from sweeper.records import Progress


def test_a_line_tells_what_is_done_stopped_and_running_and_what_is_lowest():
    counts = {"complete": 3, "pruned": 2, "running": 2, "waiting": 5}
    line = Clock().line(Progress(stage="screen", counts=counts, lowest="baseline: fid_10k 12.3"))
    assert line == "screen: 5/12 trials · 2 pruned · 2 running · lowest so far baseline: fid_10k 12.3"


def test_time_left_counts_only_what_this_run_finished(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    clock = Clock()
    assert "left" not in clock.line(Progress(stage="screen", counts={"complete": 10, "waiting": 10}))
    now[0] += 60
    assert clock.line(Progress(stage="screen", counts={"complete": 12, "waiting": 8})).endswith("about 4 min left")


def test_without_a_terminal_lines_are_plain_and_repeated_only_when_something_changed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with display(Console(file=out)) as show:
        for complete in (0, 0, 1, 2):
            show(Progress(stage="screen", counts={"complete": complete, "waiting": 4 - complete}, messages=("note",)))
            now[0] += 10
    assert out.getvalue().splitlines()[:2] == ["screen: 0/4 trials", "note"]
    assert out.getvalue().count("note") == 2


def test_on_a_terminal_the_line_is_live():
    out = io.StringIO()
    with display(Console(file=out, force_terminal=True, width=200)) as show:
        show(Progress(stage="confirm", counts={"running": 1}))
    assert "confirm: 0/1 trials · 1 running" in out.getvalue()
