"""What a terminal and a log show."""

from __future__ import annotations

import io
import re

import pytest

from agents.console import LineProgress, Screen, format_fields, format_seconds

SCORE = {
    "n": 60,
    "success": {"rate": 0.95, "low": 0.8630, "high": 0.9829},
    "objects_cleared": 0.981,
    "dropped": 0.005,
    "plan_ms": {"p50": 212.4, "p95": 340.0},
}
"""Of an agent, as `evaluate` keeps it."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = LineProgress("train", lines.append, clock)
    for done in range(1, 101):
        clock.now += 0.25
        progress.update(done, 100, loss=0.5)
    assert lines == [
        "train: 40/100, 15 s left  loss 0.5",
        "train: 80/100, 5 s left  loss 0.5",
        "train: 100/100, 25 s  loss 0.5",
    ]


def test_time_left_does_not_count_work_of_an_earlier_call() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = LineProgress("record", lines.append, clock)
    for done in (901, 902, 910):
        clock.now += 5
        progress.update(done, 1000)
    # two episodes in ten seconds, 98 to go; then ten in fifteen, 90 to go
    assert lines == ["record: 902/1000, 8 min 10 s left"]
    clock.now += 5
    progress.update(920, 1000)
    assert lines[1] == "record: 920/1000, 1 min 20 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (3720, "1 h 02 min"), (3599.6, "1 h 00 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_fields() -> None:
    assert format_fields({"loss": 0.123456, "agent": "expert"}) == "loss 0.1235  agent expert"


def test_the_score_table_is_whole_in_a_log() -> None:
    file = io.StringIO()
    agents = {"random": SCORE, "worldmodel:progress": SCORE, "expert": SCORE}
    Screen(file).scores({"protocol": {"hash": "abc"}, "agents": agents})
    text = file.getvalue()
    assert "protocol abc" in text
    row = next(line for line in text.splitlines() if "worldmodel:progress" in line)
    cells = " ".join(row.split())
    assert cells == "worldmodel:progress 60 95.0 % 86.3 to 98.3 % 98.1 % 0.5 % 212 ms 340 ms"


def narrow_scores(monkeypatch: pytest.MonkeyPatch, width: int, *names: str) -> list[str]:
    """The lines of a score table on a terminal of so many columns, without its colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    file = io.StringIO()
    Screen(file).scores({"protocol": {"hash": "5e57a2793c46"}, "agents": dict.fromkeys(names, SCORE)})
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).splitlines()]
    assert max(map(len, lines)) <= width and not any("…" in line for line in lines)
    return lines


def test_the_usual_scores_are_a_table_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = narrow_scores(monkeypatch, 80, "random", "worldmodel", "expert")
    row = next(line for line in lines if "worldmodel" in line)
    assert " ".join(row.split()) == "worldmodel 60 95.0 % 86.3 to 98.3 % 98.1 % 0.5 % 212 ms 340 ms"


def test_scores_are_a_block_for_each_agent_where_a_table_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = narrow_scores(monkeypatch, 40, "random", "worldmodel:progress", "expert")
    block = lines[lines.index("worldmodel:progress") :][:8]
    assert [re.split(r"  +", line.strip()) for line in block[1:]] == [
        ["n", "60"],
        ["cleared", "95.0 %"],
        ["95 % interval", "86.3 to 98.3 %"],
        ["objects", "98.1 %"],
        ["dropped", "0.5 %"],
        ["p50", "212 ms"],
        ["p95", "340 ms"],
    ]
    assert [lines.count(name) for name in ("random", "expert")] == [1, 1]


@pytest.mark.parametrize("absent", ["random", "expert"])
def test_scores_without_floor_or_ceiling_are_not_shown(absent: str) -> None:
    file = io.StringIO()
    agents = {name: {} for name in ("random", "worldmodel", "expert") if name != absent}
    Screen(file).scores({"protocol": {"hash": "abc"}, "agents": agents})
    assert file.getvalue() == f"scores of protocol abc are not shown: {absent} did not play\n"


def test_a_world_without_an_expert_is_scored_by_success_and_return() -> None:
    file = io.StringIO()
    score = {
        "n": 4,
        "success": {"rate": 0.5, "low": 0.15, "high": 0.85},
        "objects_cleared": 0.5,
        "dropped": 0.0,
        "plan_ms": {"p50": 20.0, "p95": 40.0},
        "returns": {"mean": -812.345, "low": -900.0, "high": -700.0},
    }
    scores = {"protocol": {"hash": "abc"}, "agents": {"random": score, "worldmodel": score}}
    Screen(file).scores({**scores, "absent": {"expert": "this world has none"}})
    lines = [" ".join(line.split()) for line in file.getvalue().splitlines()]
    assert "random 4 50.0 % 15.0 to 85.0 % -812.3 -900 to -700 20 ms 40 ms" in lines
    assert lines[-1] == "no expert: this world has none"


def test_what_a_loop_tells_has_the_line_below_the_bar_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    file = io.StringIO()
    fields = {"loss": "0.123", "pred": "0.0512", "rollout": "0.0635", "sigreg": "0.312", "samples/s": "520", "waits": "3 %"}
    with Screen(file).stage("train") as progress:
        progress.update(12000, 30000, **fields)
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).splitlines()]
    bar = max(number for number, line in enumerate(lines) if " 12000/30000 " in line)
    assert lines[bar].startswith("train ") and " left " in lines[bar]
    assert lines[bar + 1] == format_fields(fields) and max(map(len, lines)) <= 80


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    with Screen(file).stage("train") as progress:
        progress.update(3, 4, loss="[odd]")
    assert "3/4" in file.getvalue() and "[odd]" in file.getvalue()


class Closed(io.StringIO):
    """A pipe of which nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_closed_pipe_is_for_the_caller_to_end_on() -> None:
    with pytest.raises(BrokenPipeError):
        Screen(Closed()).say("one line more")
