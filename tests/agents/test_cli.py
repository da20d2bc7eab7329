"""The command line's manners: words, exit codes, one line for a mistake, and an answer at once."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agents import arguments, cli, commands, parsing
from agents.console import Screen
from worldmodel.errors import ConfigError, DataError

TINY = "configs/tiny.yaml"


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on stderr of a command that fails by a user's mistake."""
    assert cli.main(words) == cli.USER_MISTAKE
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: "), captured.err
    return captured.err


def parse(line: str) -> arguments.Command:
    return parsing.parse(shlex.split(line))


def test_flags_and_settings_may_be_mixed() -> None:
    assert parse("record train.seed=1 --config a.yaml --episodes 3 env.kwargs.robot=arm --out=d b=2") == arguments.Record(
        config=Path("a.yaml"), episodes=3, out=Path("d"), overrides=("train.seed=1", "env.kwargs.robot=arm", "b=2")
    )
    train = arguments.Train(Path("a.yaml"), (Path("d"),), Path("o"), True, ("train.seed=1",))
    assert parse("train --config a.yaml --data d --resume train.seed=1 --out o") == train


def test_ray_needs_no_address() -> None:
    for words in ("record --ray --config a.yaml b=2", "record --config a.yaml --ray b=2", "record --config a.yaml b=2 --ray"):
        assert parse(words) == arguments.Record(config=Path("a.yaml"), ray="local", overrides=("b=2",))
    assert parse("record --config a.yaml --ray head:6379") == arguments.Record(config=Path("a.yaml"), ray="head:6379")


@pytest.mark.parametrize("name", arguments.COMMANDS)
def test_a_misspelt_flag_of_any_command_is_told_with_the_right_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The parser's own help says which flags there are: each without its last letter is none of them."""
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    flags = set(re.findall(r"--[a-z][a-z-]*(?= |$)", capsys.readouterr().out)) - {"--help", "--debug", "--data"}
    assert flags or name == "doctor"
    for flag in flags:
        assert f"worldmodel {name} has no flag {flag}x; did you mean {flag}?" in complaint(capsys, name, f"{flag}x", "a")


def test_a_flag_may_be_written_with_an_underline_and_values_may_begin_with_a_dash() -> None:
    assert parse("repair D --dry_run") == arguments.Repair(Path("D"), dry_run=True)
    assert parse("record --config a.yaml --seed -1") == arguments.Record(Path("a.yaml"), seed=-1)
    assert parse("train --config a.yaml --data b --data c") == arguments.Train(Path("a.yaml"), (Path("b"), Path("c")))


def test_every_command_of_the_manual_is_understood() -> None:
    assert parsing.parse(["demo"]) == arguments.Demo(out=Path("runs/demo"))
    evaluate = arguments.Evaluate(Path("R"), 5, 1, "random,expert", Path("F"))
    assert parse("evaluate --run R --episodes 5 --seed 1 --agents random,expert --json F") == evaluate
    assert parsing.parse(["evaluate", "--run", "R"]) == arguments.Evaluate(Path("R"), agents=None)
    assert parse("play --run R --seed 3 --video a.mp4") == arguments.Play(Path("R"), 3, Path("a.mp4"))
    assert parse("report --run R") == arguments.Report(Path("R"))
    assert parsing.parse(["inspect", "D"]) == arguments.Inspect(Path("D"))
    assert parsing.parse(["doctor"]) == arguments.Doctor()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("recrod", "unknown command 'recrod'"),
        ("recrod", "Did you mean 'record'?"),
        ("record", "worldmodel record needs --config FILE.yaml"),
        ("record --config", "--config needs a value"),
        ("record --config a --epsiodes 3", "did you mean --episodes?"),
        ("record --config a --episodes many", "--episodes: expected a whole number, got 'many'; see worldmodel record --help"),
        ("play --run R --seed 1.5", "--seed: expected a whole number, got '1.5'"),
        ("train --confg a", "worldmodel train has no flag --confg; did you mean --config?"),
        ("train -config a", "worldmodel train has no flag -config; did you mean --config?"),
        ("import a --otu=b", "worldmodel import has no flag --otu; did you mean --out?"),
        ("inspect --path a", "worldmodel inspect has no flag --path; expected --sheet"),
        ("doctor --fast", "worldmodel doctor has no flag --fast; expected none"),
        ("train --config a --out b --out c", "--out is given twice; expected it once"),
        ("inspect", "worldmodel inspect needs DATA|RUN"),
        ("inspect a b", "b"),
        ("inspect nowhere", "nowhere: no such folder"),
        ("record --config configs/tinny.yaml", "did you mean configs/tiny.yaml?"),
        (f"record --config {TINY} train.num_stesp=5", "command line: unknown key 'train.num_stesp'"),
        (f"record --config {TINY} train.num_stesp=5", "did you mean 'train.num_steps'?"),
        (f"record --config {TINY} train.num_steps=x", "train.num_steps: expected integer, got 'x'"),
        (f"record --config {TINY} env.kwargs.robot=crane", "unknown robot 'crane'"),
        (f"record --config {TINY} env.kwargs.robbot=arm", "robbot"),
        (f"record --config {TINY} env.id=worldmodel/TableCler-v0", "TableCler"),
        (f"record --config {TINY} record.aimed=1", "aimed + random + expert"),
        (f"record --config {TINY} --seed -1", "seed -1"),
        (
            f"train --config {TINY} --data nowhere train.num_frames=2",
            f"error: {TINY} and command line: train.num_frames is 2; expected at least 3",
        ),
        (f"train --config {TINY} --data nowhere train.learning_rate=0", "error: command line: train: learning_rate is 0.0"),
        (f"train --config {TINY} --data nowhere model.predictor.num_heads=3", "command line: model.predictor: width is 32"),
        (f"train --config {TINY} --data nowhere", "nowhere"),
        (f"train --config {TINY} --data configs", "configs"),
        (f"train --config {TINY} --data configs --out nowhere --resume", "nowhere holds no training state to resume"),
        ("evaluate --run nowhere", "nowhere"),
        ("evaluate --run nowhere --json configs", "--json: configs is a folder; expected a file, such as configs/NAME"),
        ("play --run nowhere --video LICENSE/a.mp4", "--video: LICENSE is a file; expected a folder"),
        ("play --run nowhere --seed -1", "--seed is -1; expected a whole number"),
        ("inspect nowhere --sheet configs", "--sheet: configs is a folder"),
        ("curate nowhere --where success --out configs", "--out: configs is a folder"),
        ("merge a b --out LICENSE/c", "--out: LICENSE is a file"),
        ("report --run LICENSE", "--run: LICENSE is a file; expected a folder"),
        ("evaluate --run configs", "configs"),
        ("play --run nowhere", "nowhere"),
        ("report --run nowhere", "nowhere"),
        ("inspect configs", "configs is neither a dataset"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: str, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert expected in complaint(capsys, *words.split())


def test_a_missing_gl_backend_is_one_line_that_says_what_to_install() -> None:
    program = "import sys; from agents.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "record", "--config", TINY, "--out", "never"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env={"MUJOCO_GL": "osmesa", "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "no OpenGL context with MUJOCO_GL=osmesa" in done.stderr and "apt-get install -y libegl1" in done.stderr
    assert not (root / "never").exists()


def raising(error: BaseException):
    def run(command: arguments.Command) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("two\nlines"), 2, "error: two lines\n"),
        (DataError("x"), 2, "error: x\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: [Errno 13] Permission denied: '/x'\n"),
        (KeyboardInterrupt(), 130, "interrupted: run the same command again to go on\n"),
        (KeyboardInterrupt("stopped"), 130, "interrupted: stopped; run the same command again to go on\n"),
        (KeyboardInterrupt("run it again with --resume"), 130, "interrupted: run it again with --resume\n"),
        (KeyboardInterrupt("run it with --resume to go on"), 130, "interrupted: run it with --resume to go on\n"),
        (ZeroDivisionError("x"), 1, "error: ZeroDivisionError: x; this is a bug, --debug shows where\n"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "run", raising(error))
    monkeypatch.delenv("WORLDMODEL_DEBUG", raising=False)
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err == line


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run", raising(ConfigError("x")))
    assert cli.main(["doctor", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("WORLDMODEL_DEBUG", "1")
    assert cli.main(["doctor"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_help_lists_the_commands_without_loading_torch_or_mujoco() -> None:
    program = (
        "import sys; from agents.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as leave: assert not leave.code\n"
        "assert not {'torch', 'mujoco', 'wandb', 'gymnasium', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("demo", "record", "train", "evaluate", "play", "report", "inspect", "doctor"))


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "worldmodel", "recrod"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Did you mean 'record'?" in done.stderr


def test_a_terminal_without_utf_8_lacks_a_character_and_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(cli, "run", lambda _: Screen().say("an arm, 3 × 4 cm") or 0)
    assert cli.main(["doctor"]) == 0
    assert written.getvalue() == b"an arm, 3 ? 4 cm\n"


def test_a_film_that_goes_elsewhere_needs_no_place_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(commands, "require_folder", lambda name, folder: asked.append(name))
    commands.require_outputs(arguments.Play(tmp_path, video=tmp_path / "a.mp4"))
    assert asked == []
    commands.require_outputs(arguments.Play(tmp_path))
    assert asked == ["--run"]
