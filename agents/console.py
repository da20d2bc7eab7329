"""What a terminal shows: a bar with the time left for every long stage, plain lines when nobody watches, score tables.

with screen.stage("train") as progress:
    trainer.fit(progress)  # progress.update(done, total, loss=0.3)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from worldmodel.progress import Progress

CLEARING = "worldmodel/TableClear-v0"
"""The world in which success is a cleared table."""
PLAIN_INTERVAL = 10.0
"""Seconds between two lines where there is no terminal."""
UNBOUNDED = 10_000
"""Columns in which any table has room."""


class BarProgress:
    """A bar on a terminal: done of total, time taken, time left, and the loop's own fields."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.bar.update(self.task, completed=done, total=total, fields=format_fields(fields))


class _Bars(RichProgress):
    """The bar fills a terminal of 80 columns: a loop's own fields have the line below it, or as many as they need."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["fields"]) for task in self.tasks if task.fields["fields"])


class LineProgress:
    """A plain line now and then: for logs and for continuous integration."""

    def __init__(self, name: str, write: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.write, self.clock = name, write, clock
        self.started = self.last = clock()
        self.first: int | None = None

    def update(self, done: int, total: int, **fields: str | float) -> None:
        now = self.clock()
        if self.first is None:
            self.first = done - 1 if done else 0  # a resumed stage starts with work that this run did not pay for
        if now - self.last < PLAIN_INTERVAL and done < total:
            return
        self.last = now
        taken, fresh = now - self.started, done - self.first
        when = format_seconds(taken)
        if done < total and fresh > 0:
            when = f"{format_seconds(taken / fresh * (total - done))} left"
        self.write("  ".join(filter(None, (f"{self.name}: {done}/{total}, {when}", format_fields(fields)))))


class _Terminal(Console):
    """Where lines go; that nobody reads on is for the command line to say, not an exit code of rich's."""

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is being handled."""
        raise BrokenPipeError


class Screen:
    """Where the command line writes. `file` is for tests; the default is the standard output."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.console = _Terminal(file=file, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = 120  # a log has no edge: a table there is not cut

    def say(self, text: str) -> None:
        """One line of plain text."""
        self.console.print(text, markup=False)

    def heading(self, text: str) -> None:
        """A line that opens a stage."""
        self.console.print(text, style="bold", markup=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """A Progress for one long stage: a bar on a terminal, lines elsewhere."""
        if not self.console.is_terminal:
            yield LineProgress(name, self.say)
            return
        columns = (
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with _Bars(*columns, console=self.console) as bar:
            task = bar.add_task(name, total=None, fields="")
            yield BarProgress(bar, task)
            if bar.tasks[0].total is None:  # a stage that told nothing was one piece of work
                bar.update(task, total=1, completed=1)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> None:
        """A table whose first `words` columns are words and whose other columns are numbers.

        Where the terminal is too narrow for it, each row is a block of lines below its first cell.
        """
        look = {"box": box.SIMPLE_HEAD, "pad_edge": False, "collapse_padding": True}
        table = Table(title=title, title_justify="left", title_style="bold", **look)
        for i, column in enumerate(columns):
            table.add_column(column, justify="left" if i < words else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        if self.console.measure(table, options=self.console.options.update(max_width=UNBOUNDED)).maximum <= self.console.width:
            self.console.print(table, soft_wrap=False)
            return
        self.heading(title)
        for name, *cells in rows:
            self.say("")
            self.heading(name)
            for column, cell in zip(columns[1:], cells, strict=True):
                self.say(f"  {column:<{max(map(len, columns))}}  {cell}")

    def scores(self, scores: Mapping[str, Any]) -> None:
        """The score table of an evaluation, as `evaluate --json` writes it; without floor and ceiling a line in its place.

        A world that cannot have one of them (`absent` says why) is scored without it, success beside the return.
        """
        from agents.evaluation.scores import CEILING, FLOOR  # imports torch, and `doctor` must speak where that is missing

        reasons = scores.get("absent", {})
        if absent := [name for name in (FLOOR, CEILING) if name not in scores["agents"] and name not in reasons]:
            self.say(f"scores of protocol {scores['protocol']['hash']} are not shown: {' and '.join(absent)} did not play")
            return
        protocol = scores["protocol"]
        rate = "cleared" if protocol.get("env_id", CLEARING) == CLEARING else "success"
        columns = ("agent", "n", rate, "95 % interval", "objects", "dropped", "p50", "p95")
        if reasons:
            columns = ("agent", "n", "success", "95 % interval", "return", "95 % interval", "p50", "p95")
        row = return_row if reasons else score_row
        self.table(f"Score (protocol {protocol['hash']})", columns, [row(n, s) for n, s in scores["agents"].items()])
        for name, reason in reasons.items():
            self.say(f"no {name}: {reason}")


def score_row(name: str, score: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one agent's row: rates in percent, times in milliseconds."""
    success, plan = score["success"], score["plan_ms"]
    return (
        name,
        str(score["n"]),
        f"{100 * success['rate']:.1f} %",
        f"{100 * success['low']:.1f} to {100 * success['high']:.1f} %",
        f"{100 * score['objects_cleared']:.1f} %",
        f"{100 * score['dropped']:.1f} %",
        f"{plan['p50']:.0f} ms",
        f"{plan['p95']:.0f} ms",
    )


def return_row(name: str, score: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one agent's row in a world of rewards and no objects."""
    cells, returns = score_row(name, score), score.get("returns")
    told = (f"{returns['mean']:.4g}", f"{returns['low']:.4g} to {returns['high']:.4g}") if returns else ("-", "-")
    return (*cells[:4], *told, *cells[6:])


def format_fields(fields: Mapping[str, str | float]) -> str:
    """`loss 0.123  episodes/s 4.1`."""
    return "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in fields.items())


def format_seconds(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `1 h 02 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
