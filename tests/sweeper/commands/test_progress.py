import io

from rich.console import Console

from sweeper.commands import progress
from sweeper.commands.progress import Lines, display, in_words
from sweeper.records import Activity, Progress


def test_a_line_tells_what_is_done_stopped_and_running_and_what_is_lowest():
    counts = {"complete": 3, "pruned": 2, "running": 2, "waiting": 5}
    line = Lines().line(Progress(stage="screen", counts=counts, lowest="baseline: fid_10k 12.3"))
    assert line == "screen: 5/12 trials · 2 pruned · 2 running · lowest so far baseline: fid_10k 12.3"


def test_time_left_counts_only_what_this_run_finished(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = Lines()
    assert "left" not in lines.line(Progress(stage="screen", counts={"complete": 10, "waiting": 10}))
    now[0] += 60
    assert lines.line(Progress(stage="screen", counts={"complete": 12, "waiting": 8})).endswith("about 4 min left")


def test_time_left_does_not_count_the_start_of_ray(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = Lines()
    lines.line(Progress(stage="screen", counts={"waiting": 10}))
    now[0] += 40
    lines.line(Progress(stage="screen", counts={"waiting": 10}))
    now[0] += 2
    lines.line(Progress(stage="screen", counts={"waiting": 8, "running": 2}))
    now[0] += 34
    line = lines.line(Progress(stage="screen", counts={"complete": 1, "waiting": 8, "running": 1}))
    assert line.endswith("about 5 min left")  # nine of 36 s since the last line without one in training


def test_after_some_trials_it_says_how_sure_it_is_of_the_time_left_and_a_stage_begins_anew(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = Lines()
    for complete in range(21):  # every other trial takes three times as long
        text = lines.line(Progress(stage="screen", counts={"complete": complete, "waiting": 40 - complete}))
        now[0] += 60 if complete % 2 else 180
    assert text.endswith("about 40 min left (32 min to 48 min)")
    first = lines.line(Progress(stage="confirm", counts={"waiting": 10}))
    now[0] += 60
    second = lines.line(Progress(stage="confirm", counts={"complete": 1, "waiting": 9}))
    assert (first, second) == ("confirm: 0/10 trials", "confirm: 1/10 trials · about 9 min left")


def test_trials_that_take_equally_long_have_one_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = Lines()
    for complete in range(11):
        text = lines.line(Progress(stage="screen", counts={"complete": complete, "waiting": 20 - complete}))
        now[0] += 60
    assert text.endswith("· about 10 min left")


def test_without_a_terminal_lines_are_plain_and_repeated_only_when_something_changed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with display(Console(file=out)) as show:
        for complete in (0, 0, 1, 2):
            show(Progress(stage="screen", counts={"complete": complete, "waiting": 4 - complete}, messages=("note",)))
            now[0] += 10
    assert out.getvalue().splitlines()[:2] == ["screen: 0/4 trials", "note"]
    assert out.getvalue().count("note") == 1  # as long as it stands


def test_on_a_terminal_the_line_is_live():
    out = io.StringIO()
    with display(Console(file=out, force_terminal=True, width=200)) as show:
        show(Progress(stage="confirm", counts={"running": 1}))
    assert "confirm: 0/1 trials · 1 running" in out.getvalue()


def activity(number: int, **more: object) -> Activity:
    known = {"label": f"block {number}, lambda 0.1, seed 2", "doing": "training", "step": 650, "until": 1200}
    return Activity.model_validate({**known, "trials": 1, "steps_per_s": 52.31, "loss": 0.2134, **more})


CARD = {"used": 13_200_000_000, "total": 85_000_000_000}


def test_a_worker_on_a_gpu_says_how_much_of_its_memory_is_used_and_one_on_a_cpu_nothing():
    seen = Progress(stage="screen", counts={"running": 2}, activities=(activity(1, card=CARD), activity(2)))
    out = io.StringIO()
    with display(Console(file=out, force_terminal=True, width=200)) as show:
        show(seen)
    on_gpu, on_cpu = (line for line in out.getvalue().splitlines() if "lambda 0.1" in line)
    assert on_gpu.rstrip().endswith("loss 0.213  GPU 12.3 of 79.2 GiB")
    assert on_cpu.rstrip().endswith("loss 0.213")
    watched = in_words(seen, Lines()).splitlines()
    assert watched[1].endswith("loss 0.213, GPU 12.3 of 79.2 GiB")
    assert watched[2].endswith("loss 0.213")


def test_on_a_terminal_every_worker_says_what_it_trains_how_far_how_fast_and_its_loss():
    out = io.StringIO()
    several = (activity(1), activity(2, doing="measuring", steps_per_s=None, loss=None), activity(3, label="x" * 99))
    with display(Console(file=out, force_terminal=True, width=200)) as show:
        show(Progress(stage="screen", counts={"complete": 1, "waiting": 3}, activities=several, messages=("note",)))
    shown = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "training block 1, lambda 0.1, seed 2 step 650/1,200 52.3 steps/s loss 0.213" in shown
    assert "measuring block 2, lambda 0.1, seed 2 at step 650" in shown
    assert f"training {'x' * 47}… step 650/1,200 52.3 steps/s loss 0.213" in shown
    assert "note" in shown


def test_of_many_workers_the_first_have_a_line():
    out = io.StringIO()
    with display(Console(file=out, force_terminal=True, width=200, height=60)) as show:
        show(Progress(stage="screen", counts={"running": 20}, activities=tuple(map(activity, range(20)))))
    assert out.getvalue().count("lambda 0.1") == 12
    assert "and 8 more workers" in out.getvalue()


def test_without_a_terminal_a_line_says_how_fast_all_workers_are_and_comes_even_if_nothing_ends(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with display(Console(file=out)) as show:
        for _ in range(100):  # 1,000 seconds in which no trial ends
            show(Progress(stage="screen", counts={"running": 2}, activities=(activity(1), activity(2))))
            now[0] += 10
    assert out.getvalue().splitlines() == ["screen: 0/2 trials · 2 running · 105 steps/s"] * 2
