"""The report of a synthetic run folder: the numbers are in it, nothing is loaded from outside, gaps are said."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.evaluation.protocol import EvaluationProtocol
from agents.evaluation.scores import AgentScore, EpisodeResult
from agents.evaluation.scores import Evaluation as SavedEvaluation
from agents.inspect import health_lines
from agents.planners.plan import Plan, PlanTrace
from agents.report import VideoWriter, collect, planner_view, save_diagnostics, save_planner_views, save_strips, write_report
from agents.report.collect import parse_evaluation, read_curves
from agents.report.scores import rules
from agents.report.training import POINTS, thin
from agents.report.types import Curve, PlannerView, ReportData, Strip
from agents.training.health import load_surprise
from worldmodel.diagnostics.horizon import HorizonReport
from worldmodel.diagnostics.surprise import SurpriseScale
from worldmodel.errors import CheckpointError, DataError
from worldmodel.train.manifest import DataSummary, new_manifest
from worldmodel.types import ActionSpec, WorldSpec

SPEC = ActionSpec(
    names=("start_x", "start_y", "end_x", "end_y"),
    low=(-1.0,) * 4,
    high=(1.0,) * 4,
    points=((0, 1), (2, 3)),
    image_from_action=((0.8, 0.0, 0.0), (0.0, -0.8, 0.0)),
)


def agent(rate: float, low: float, high: float, *, n: int = 60, **more: object) -> dict:
    return {
        "n": n,
        "success": {"rate": rate, "low": low, "high": high},
        "objects_cleared": 0.987,
        "dropped": 0.0056,
        "plan_ms": {"p50": 212.4, "p95": 431.6},
        **more,
    }


def evaluation() -> dict:
    """58 of 60 starts with one to five objects cleared, between a floor of none and a ceiling of all."""
    episodes = []
    for name, lost in (("random", range(60)), ("worldmodel", (9, 59)), ("expert", ())):
        for i in range(60):
            fate = {"success": i not in lost, "num_objects": 1 + i % 5, "num_cleared": 1, "num_dropped": 0, "num_actions": 4}
            episodes.append({"agent": name, "episode": i, "seed": 9000 + i, "plan_ms": [200.0, 431.6], **fate})
    return {
        "protocol": {
            "hash": "a1b2c3d4",
            "seed": 5,
            "env_kwargs": {"num_objects": [1, 5]},
            "budget": 8,
            "versions": {"mujoco": "4.0.0"},
        },
        "agents": {
            "random": agent(0.0, 0.0, 0.0602, plan_ms={"p50": 0.02, "p95": 0.03}, objects_cleared=0.091),
            "worldmodel:goal": agent(0.3, 0.1991, 0.4251),
            "worldmodel": agent(58 / 60, 0.8864, 0.9908),
            "expert": agent(1.0, 0.9398, 1.0, plan_ms=None),
        },
        "machine": {"cpu": "Abacus 9", "cores": 2},
        "episodes": episodes,
    }


def scene(rng: np.random.Generator, cleared: int) -> np.ndarray:
    """(64, 64, 3): a table, a bin and three things that move into it."""
    picture = np.full((64, 64, 3), (176, 160, 138), np.uint8)
    picture[:, 52:] = (70, 76, 84)
    for k, colour in enumerate(((0, 114, 178), (213, 94, 0), (0, 158, 115))):
        row, column = 10 + 17 * k, 55 if k < cleared else 16 + 9 * k
        picture[row : row + 7, column : column + 7] = colour
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def fill(run: Path) -> Path:
    """A run folder with every part of a report in it."""
    rng = np.random.default_rng(0)
    run.mkdir(parents=True)
    (run / "evaluation.json").write_text(json.dumps(evaluation()))
    manifest = {
        "experiment": {"train": {"seed": 17}, "record": {"seed": 4}},
        "data": {"fingerprint": "feedbeef", "num_frames": 99},
    }
    (run / "manifest.json").write_text(
        json.dumps(manifest | {"commit": "0ff1ce", "packages": {"torch": "2.13.0"}, "step": 3000})
    )
    (run / "config.yaml").write_text("seed: 17\ntrain:\n  lr: 0.001\n")
    rows = []
    for step in range(0, 3000, 10):
        row = {
            "step": step,
            "time": step * 0.1,
            "train/lr": 1e-3 * np.sin(np.pi * (step + 5) / 3000),
            "train/windows_per_s": 900.0,
        }
        row |= {
            "train/loss": 2 * np.exp(-step / 600) + 0.02 + 0.01 * rng.random(),
            "train/sigreg": 4 * np.exp(-step / 300) + 0.3,
        }
        if step % 250 == 0:
            row |= {"val/loss": 2 * np.exp(-step / 600) + 0.05, "val/effective_rank": 14 * (1 - np.exp(-step / 500))}
        rows.append(json.dumps(row))
    (run / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    horizon = HorizonReport((0.08, 0.13, 0.19, 0.26), (0.52, 0.7, 0.8, 0.84))
    probe = {"position_cm_0": 1.42, "position_cm_1": 2.31, "position_cm_2": 3.68}
    probe |= {"status_accuracy_0": 0.998, "status_accuracy_1": 0.981, "status_accuracy_2": 0.9424}
    measures = {"plannability": 0.91, "action_ratio": 0.987, "action_rank": 0.1, "std": 0.8}
    measures |= {"cost_rank": 0.295, "surprise_z_mean": 0.04, "surprise_z_std": 1.07}
    scale = SurpriseScale((0.05, 0.1), (0.2, 0.1), (math.log(1.5), 0.6), (math.log(2), 0.4), 256)
    save_diagnostics(run, horizon=horizon, num_windows=512, probe=probe, num_frames=900, measures=measures, surprise=scale)
    strips = []
    for _ in range(2):
        real = np.stack([scene(rng, t) for t in range(4)])
        soft = ((real + np.roll(real, 1, 1).astype(int) + np.roll(real, 1, 2) + np.roll(real, -1, 1)) // 4).astype(np.uint8)
        actions = np.array([[-0.7 + 0.2 * t, 0.6 - 0.55 * t, 0.9, 0.6 - 0.55 * t] for t in range(3)], np.float32)
        strips.append(Strip(real, soft, actions))
    save_strips(run, strips, SPEC)
    views = []
    for t in range(2):
        candidates = rng.uniform(-1, 1, (128, 4)).astype(np.float32)
        costs = np.linalg.norm(candidates - strips[0].actions[t], axis=1)
        views.append(PlannerView(strips[0].real[t], candidates, costs, strips[0].actions[t]))
    save_planner_views(run, views, SPEC)
    with VideoWriter(run / "videos" / "seed_3.mp4", fps=8) as film:
        for t in range(32):
            film.add(scene(rng, t // 8).repeat(4, 0).repeat(4, 1))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    path = write_report(run)
    assert path == run / "report.html"
    return path.read_text(encoding="utf-8")


class Loads(HTMLParser):
    """Collects what a page refers to, and checks that its tags are closed in order."""

    VOID = frozenset(("meta", "img", "br", "path", "use", "line", "rect", "circle"))

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "poster", "data", "srcset")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(html: str) -> Loads:
    page = Loads()
    page.feed(html)
    assert page.open == []
    return page


def test_the_headline_says_what_was_learned_with_n_and_the_interval(html: str) -> None:
    headline = re.search(r"<h1>(.*?)</h1>", html)
    assert headline is not None
    sentence = headline[1].replace("\u2011", "-").replace("\u00a0", " ")
    assert sentence == "The robot cleared the table in 58 of 60 held-out episodes: 96.7 % (95 % interval 88.6–99.1)"


def test_another_task_is_not_said_to_be_the_clearing_of_a_table(tmp_path: Path) -> None:
    told = evaluation()
    told["protocol"] |= {"env_id": "worldmodel/TwoRooms-v0", "env_kwargs": {"max_steps": 100}}
    (tmp_path / "evaluation.json").write_text(json.dumps(told))
    html = write_report(tmp_path).read_text(encoding="utf-8").replace("\u2011", "-").replace("\u00a0", " ")
    assert "<h1>Success in 58 of 60 held-out episodes of worldmodel/TwoRooms-v0: 96.7 % (95 % interval 88.6–99.1)</h1>" in html
    assert "expert: 100.0 % (n = 60)" in html and "at most 8 actions" in html
    for word in ("table", "sweeps anywhere", "in bin", "empty table", "episodes cleared"):
        assert word not in re.sub(r"<[^>]*>", "", html.partition("<main>")[2].partition("Imagined versus real")[0]), word
    del told["agents"]["expert"]
    (tmp_path / "evaluation.json").write_text(json.dumps(told))
    assert "Scores are not printed: expert was not evaluated beside" in write_report(tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("count", "words"), [([2, 2], "2 objects"), ([1, 5], "1 to 5 objects"), (3, "3 objects"), (1, "1 object")]
)
def test_a_range_of_one_number_is_that_number(count: object, words: str) -> None:
    asked = parse_evaluation(evaluation())
    asked.protocol["env_kwargs"] = {"num_objects": count}
    assert rules(asked) == f"Protocol a1b2c3d4: {words}, at most 8 sweeps."


def test_the_writing_of_a_page_is_told(tmp_path: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.calls: list[tuple[int, int]] = []

        def update(self, done: int, total: int, **fields: str | float) -> None:
            self.calls.append((done, total))

    told = Told()
    write_report(tmp_path, ReportData("nothing yet"), progress=told)
    assert told.calls == [(number, 10) for number in range(1, 11)]


def test_the_score_table_holds_every_number(html: str) -> None:
    for number in ("98.7 %", "0.6 %", "212", "432", "60", "9.1 %", "&lt; 1"):
        assert f">{number}</td>" in html.replace("\u00a0", " ")
    for rate, interval in (("96.7 %", "88.6–99.1"), ("30.0 %", "19.9–42.5"), ("0.0 %", "0.0–6.0"), ("100.0 %", "94.0–100.0")):
        assert f'>{rate}<span class="note">{interval}</span></td>' in html.replace("\u00a0", " ")
    assert "Protocol a1b2c3d4: 1 to 5 objects, at most 8 sweeps." in html
    assert 'x1="88.64%" x2="99.08%"' in html  # the whisker is drawn to scale


def test_every_part_is_shown_and_none_is_said_to_be_missing(html: str) -> None:
    assert 'class="missing"' not in html
    page = parsed(html)
    assert page.tags.count("video") == 1
    assert page.tags.count("img") == 2 * 8 + 2  # two strips of 2 x 4 pictures, two planner views
    for text in (
        ">3.68</td>", ">94.2</td>", "900 frames", "512 windows", "plannability", "0.91", "a1b2c3d4", "feedbeef", "0ff1ce",
        "torch 2.13.0", "train 17, record 4", "mujoco 4.0.0", "Abacus 9", "9007", ">432</td>", ">431.6</td>",
        "No alarm.", "0.987", ">&gt; 0.2</td>",
    ):  # fmt: skip
        assert text in html, text


SURPRISE = (
    "1 action ahead: z 0 is 0.50 times the expected error, z 2 is 5.00 times; other windows have z 0.04 ± 1.07; "
    "calibrated on 256 windows, up to 2 ahead"
)
"""log(1 + r) of 0.5 and 5 are log(1.5) and log(1.5) + 2 log(2)."""


def test_what_a_surprise_of_two_means_is_told(run: Path, html: str, tmp_path: Path) -> None:
    assert f"Surprise, {SURPRISE}." in html
    assert f"surprise {SURPRISE}" in health_lines(run)
    damaged = json.loads((run / "diagnostics.json").read_text())
    del damaged["surprise"]["std"]
    (tmp_path / "diagnostics.json").write_text(json.dumps(damaged))
    with pytest.raises(DataError, match=r"diagnostics\.json: no scale of surprise"):
        collect(tmp_path)


def test_alarms_and_drift_in_centimetres_are_shown(tmp_path: Path) -> None:
    nan = float("nan")
    horizon = HorizonReport((0.1, 0.2), (0.3, 0.6), (2.0, 3.0), (3.0, nan), (1.0, 1.5))
    scale = SurpriseScale((0.1,), (0.2,), (0.5,), (0.4,), 256)
    save_diagnostics(
        tmp_path, horizon=horizon, num_windows=83, probe={}, num_frames=0, surprise=scale, alarms=["<b>predictions ignore it"],
        measures={"action_ratio": 0.02, "goal_order": nan},
    )  # fmt: skip
    data = collect(tmp_path)
    assert data.horizon is not None and data.horizon.predicted_cm == (2.0, 3.0)
    assert data.horizon.copied_cm[0] == 3.0 and np.isnan(data.horizon.copied_cm[1])
    assert data.alarms == ("<b>predictions ignore it",)
    assert load_surprise(tmp_path) == scale
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Alarm: &lt;b&gt;predictions ignore it." in html and "<b>predictions" not in html
    assert "position error [cm]" in html and "83 windows of 2 actions" in html
    lines = health_lines(tmp_path)
    assert lines[0] == "ALARM <b>predictions ignore it"
    assert lines[1] == "action ratio 0.02"
    assert lines[2].startswith("error 1 ahead 0.10 (copy 0.30), 2.0 cm (copy 3.0); 2 ahead 0.20 (copy 0.60), 3.0 cm")


def test_health_comes_from_the_last_validation_while_nothing_was_measured(tmp_path: Path) -> None:
    assert health_lines(tmp_path) == ["not measured"]
    rows = [{"step": step, "time": 1.0, "val/std": 0.8, "val/action_ratio": 0.5 / step} for step in (1, 50)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert health_lines(tmp_path) == [
        "ALARM predictions ignore the action (action ratio 0.01; expected > 0.2), at the last validation",
        "std 0.8, action ratio 0.01, at the last validation",
    ]
    with pytest.raises(CheckpointError, match="no scale of surprise"):
        load_surprise(tmp_path)


def test_nothing_is_loaded_from_outside(html: str) -> None:
    page = parsed(html)
    assert page.loads
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert "default-src 'none'" in html and "@import" not in html
    assert not re.search(r"url\((?!#)", html)  # clip paths of the figures are the only references in styles


def test_ids_of_the_figures_do_not_clash(html: str) -> None:
    definitions = re.findall(r'<clipPath id="([^"]+)"', html)
    assert definitions and len(definitions) == len(set(definitions))


def test_the_same_run_gives_the_same_page(run: Path, html: str, tmp_path: Path) -> None:
    assert write_report(run, path=tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_text_from_files_is_escaped(tmp_path: Path) -> None:
    evil = '<img src="http://x.example/"onerror=alert(1)>'
    values = evaluation()
    values["agents"][evil] = agent(0.99, 0.9, 1.0)
    values["episodes"] = [{"agent": evil, "success": True, "num_objects": k, evil: evil} for k in (1, 2)]
    del values["agents"]["worldmodel"]  # so that the headline and its figures are about the other
    values["protocol"]["hash"] = values["machine"]["cpu"] = evil
    curves = {f"train/{evil}": Curve(np.arange(3), np.array([1.0, np.nan, 2.0]))}
    parsed_values = parse_evaluation(values)
    manifest = {"commit": evil, "experiment": {evil: {"seed": evil}}}
    data = ReportData(
        evil, parsed_values, {evil: parsed_values}, curves, manifest=manifest, config=evil, diagnostics={evil: evil}
    )
    html = write_report(tmp_path, data).read_text(encoding="utf-8")
    assert "<img" not in html
    assert "&lt;img src=&quot;http://x.example/&quot;onerror=alert(1)&gt;" in html
    assert all(load.startswith(("data:", "#")) for load in parsed(html).loads)


def test_an_empty_run_says_what_is_missing(tmp_path: Path) -> None:
    html = write_report(tmp_path).read_text(encoding="utf-8")
    parsed(html)
    for what in (
        "The evaluation is missing", "Videos are missing", "Imagined pictures are missing", "Planner views are missing",
        "Training curves are missing", "Prediction error by horizon is missing", "Probe error is missing",
        "The model's health is missing".replace("'", "&#x27;"),
        "The manifest.json is missing", "The config.yaml is missing",
    ):  # fmt: skip
        assert what in html, what


@pytest.mark.parametrize("absent", ["random", "expert"])
def test_a_score_without_floor_or_ceiling_is_not_printed(tmp_path: Path, absent: str) -> None:
    values = evaluation()
    del values["agents"][absent]
    html = write_report(tmp_path, ReportData(title="run", evaluation=parse_evaluation(values))).read_text(encoding="utf-8")
    assert f"Scores are not printed: {absent} was not evaluated beside" in html
    assert "96.7" not in html and "88.6" not in html


def test_large_videos_are_named_rather_than_carried(run: Path) -> None:
    data = collect(run)
    html = write_report(run, data, path=run / "small.html", max_video_bytes=10).read_text(encoding="utf-8")
    assert "<video" not in html and "seed_3.mp4" in html


def test_strips_and_views_survive_the_disk(run: Path) -> None:
    data = collect(run)
    assert data.action == SPEC
    assert len(data.strips) == len(data.planner_views) == 2
    np.testing.assert_array_equal(data.strips[1].actions[2], np.array([-0.3, -0.5, 0.9, -0.5], np.float32))
    assert data.planner_views[0].candidates.shape == (128, 4)


def test_curves_keep_the_last_value_of_a_step_and_leave_out_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = ['{"step": 1, "a": 5, "note": "x"}', '{"step": 3, "a": 9}', '{"step": 3, "a": 7.5, "b": true}']
    path.write_text("\n".join([*lines, '{"step": 4, "a": null}', '{"step": 4, "a"']))
    curves = read_curves(path)
    assert list(curves) == ["a"]
    assert curves["a"].steps.tolist() == [1, 3, 4]
    np.testing.assert_array_equal(curves["a"].values, [5.0, 7.5, np.nan])


@pytest.mark.parametrize("line", [b'{"a": 9}', b"\xff\xfe"])
def test_a_damaged_line_names_its_place(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "a": 5}\n' + line + b"\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2"):
        collect(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evaluation.json", '{"protocol": {}}', "'agents' is missing"),
        ("evaluation.json", json.dumps({"protocol": {}, "agents": {"random": agent(0.5, 0.6, 0.7)}}), "low <= rate <= high"),
        ("evaluation.json", "[]", "expected a JSON object"),
        ("manifest.json", "{", "is not JSON"),
        ("diagnostics.json", '{"horizon": {"predicted": [1], "copied": [], "num_windows": 1}}', "equally many"),
        (
            "diagnostics.json",
            '{"horizon": {"predicted": [1], "copied": [1], "num_windows": 1, "copied_cm": [1, 2]}}',
            "2 of copied_cm",
        ),
        ("diagnostics.json", '{"probe": {"position_cm_0": 1, "num_frames": 1}}', "'status_accuracy_0' is missing"),
        ("figures/strips.npz", "PK", "no readable npz"),
    ],
)
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        collect(tmp_path)
    assert name in str(caught.value)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        write_report(tmp_path / "nowhere")


def test_long_curves_are_averaged_over_equal_stretches() -> None:
    curve = thin(Curve(np.arange(1000), np.arange(1000.0)))
    assert len(curve.steps) == 200 <= POINTS
    assert curve.values[:2].tolist() == [2.0, 7.0] and curve.steps[1] == 7


def test_pictures_without_calibration_are_shown_without_arrows(run: Path, tmp_path: Path) -> None:
    data = replace(collect(run), action=replace(SPEC, image_from_action=None))
    html = write_report(tmp_path, data).read_text(encoding="utf-8")
    assert "Arrows are missing" in html
    assert parsed(html).tags.count("img") == 16


def test_success_by_number_of_objects_is_counted_from_the_episodes(run: Path) -> None:
    evaluation = collect(run).evaluation
    assert evaluation is not None
    groups = next(score for score in evaluation.scores if score.name == "worldmodel").groups
    assert [(group.num_objects, group.n, group.success.rate) for group in groups] == [
        (1, 12, 1.0), (2, 12, 1.0), (3, 12, 1.0), (4, 12, 1.0), (5, 12, 10 / 12),
    ]  # fmt: skip
    assert groups[4].success.low == pytest.approx(0.5520, abs=1e-4)  # Wilson, 10 of 12


def test_evaluations_with_other_numbers_of_objects_join_the_figure(tmp_path: Path) -> None:
    values, other = tmp_path / "evaluation.json", tmp_path / "evaluation-five-objects.json"
    for path, count in ((values, 3), (other, 5)):
        result = evaluation()
        result["protocol"]["env_kwargs"] = {"num_objects": count}
        result["identities"] = {"random": "r", "worldmodel": "w", "expert": "e"}
        result["episodes"] = [episode | {"num_objects": count} for episode in result["episodes"]]
        path.write_text(json.dumps(result))
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<h3>five-objects</h3>" in html
    assert "worldmodel, episodes cleared by number of objects</figcaption>" in html
    result = json.loads(other.read_text())
    asked_otherwise, planned_otherwise = json.loads(other.read_text()), json.loads(other.read_text())
    asked_otherwise["protocol"]["budget"] = 20
    planned_otherwise["identities"]["worldmodel"] = "another planner, or other weights"
    del result["identities"]
    for changed in (asked_otherwise, planned_otherwise, result):  # no place in the same figure
        other.write_text(json.dumps(changed))
        assert "every episode began with 3" in write_report(tmp_path).read_text(encoding="utf-8")


def test_what_the_stages_write_is_what_the_report_reads(tmp_path: Path) -> None:
    """The evaluation, the manifest and a plan as the other rooms make them."""
    starts, names = (11, 12), ("random", "worldmodel", "expert")
    protocol = EvaluationProtocol(
        "worldmodel/TableClear-v0", {"num_objects": 3}, 5, starts, 8, "arm", "softpipe", {"mujoco": "4.0.0"}
    )
    episodes = tuple(
        EpisodeResult(name, k, start, name != "random", 3, 3, 0, 2, (10.0, 20.0))
        for name in names
        for k, start in enumerate(starts)
    )
    scores = {name: AgentScore.of([e for e in episodes if e.agent == name]) for name in names}
    SavedEvaluation(protocol, scores, episodes, {}, {"cpu": "Abacus 9"}).save(tmp_path / "evaluation.json")
    world = WorldSpec("worldmodel/TableClear-v0", {}, {}, SPEC, "sweep", "arm")
    summary = DataSummary("feedbeef", 1234, 5678, ((1, 2),))
    manifest = new_manifest(
        world, model={}, heads=None, experiment={"train": {"seed": 17}}, context_length=1, data=summary, step=9
    )
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    candidates, costs = (torch.zeros(1, 5, 2, 4), torch.ones(1, 3, 2, 4)), (torch.zeros(1, 5), torch.ones(1, 3))
    trace = PlanTrace(torch.zeros(2, 1), torch.zeros(2, 1), (0.1, 0.1), candidates, costs)
    short = PlanTrace(trace.best[:1], trace.mean[:1], (0.1,), trace.candidates[:1], trace.costs[:1])
    picture = np.zeros((8, 8, 3), np.uint8)
    views = [planner_view(picture, Plan(torch.full((1, 2, 4), 0.5), torch.zeros(1), t)) for t in (trace, short)]
    save_planner_views(tmp_path, views, SPEC)

    loaded = collect(tmp_path).planner_views
    assert loaded[0].candidates[:, 0].tolist() == [0.0] * 5 + [1.0] * 3 and loaded[0].chosen.tolist() == [0.5] * 4
    assert np.isfinite(loaded[1].costs).sum() == 5  # a search cut short
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert "The robot cleared the table in 2 of 2" in html and "5 candidates" in html
    for fact in (protocol.hash, "softpipe", "Abacus 9", "train 17", "episodes 1234, frames 5678", "feedbeef", manifest.commit):
        assert fact in html, fact


def test_a_plan_without_candidates_cannot_be_drawn() -> None:
    plan = Plan(torch.zeros(1, 2, 4), torch.zeros(1), PlanTrace(torch.zeros(1, 1), torch.zeros(1, 1), (0.1,)))
    with pytest.raises(DataError, match="keep_candidates"):
        planner_view(np.zeros((8, 8, 3), np.uint8), plan)
