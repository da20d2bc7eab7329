"""Recording as Ray actors, on this machine or on a cluster: the same episodes as in processes, one writer an actor.

    worldmodel record --config FILE.yaml --ray [ADDRESS]

Every machine of a cluster has to have the package installed and to see the dataset's folder under the same path.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.recording.dealing import Failed, Finished, Lost, News, Played
from agents.recording.recorder import MakeEnv, RecordConfig, Recorder
from worldmodel.errors import ConfigError, MissingExtraError

LOCAL = "local"
"""The address that starts Ray on this machine, reachable from nowhere else."""
LOOPBACK = "127.0.0.1"
STORE_BYTES = 100 * 2**20
"""Ray's object store [bytes]: all that goes through it is numbers of episodes."""
PASSED_ON = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "LP_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables that the actors of a cluster get from this process."""


def ray_crew(address: str = LOCAL) -> Callable[[MakeEnv, RecordConfig, Path], RayCrew]:
    """What `record` takes as its crew. MissingExtraError without Ray."""
    import_ray(address)
    return lambda make_env, config, root: RayCrew(make_env, config, root, address)


def import_ray(address: str = LOCAL) -> Any:
    """The module, which reads these settings when it is imported: it sends no statistics of use, and a local one is private."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == LOCAL:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's name for: every port on the loopback interface
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # an actor that asks for no GPU leaves the variables alone
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("recording with Ray needs its package; pip install 'worldmodel[ray]'") from error
    return ray


class RayCrew:
    """Actors of one CPU each; a context manager that leaves none behind, nor a Ray that it started."""

    def __init__(self, make_env: MakeEnv, config: RecordConfig, root: Path, address: str):
        self.ray = import_ray(address)
        self.job = (make_env, config, root.resolve())
        self.actors: dict[int, Any] = {}
        self.streams: dict[int, Any] = {}
        """Worker -> what its hand yields, or, once it is to stop, the end of that."""
        self.stopping = False
        self.ours = not self.ray.is_initialized()
        if self.ours:
            with _sigterm_kept():
                self._begin(address, config.workers)
        cpus = int(self.ray.cluster_resources().get("CPU", 0))
        if cpus < config.workers:
            self._end()
            raise ConfigError(f"workers is {config.workers}, and this Ray has {cpus} CPUs; expected one at least for each")

    def start(self, worker: int) -> None:
        """Begin an actor."""
        actor = self.ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self.actors[worker] = actor.remote(worker, *self.job)

    def give(self, worker: int, hand: Sequence[int]) -> None:
        """Call the actor."""
        self.streams[worker] = self.actors[worker].play.options(num_returns="streaming").remote(tuple(hand))

    def news(self, seconds: float) -> list[News]:
        """What the calls have yielded."""
        workers = {stream: worker for worker, stream in self.streams.items()}
        self.ray.wait(list(workers), num_returns=1, timeout=seconds)
        ready, _ = self.ray.wait(list(workers), num_returns=len(workers), timeout=0)
        return [self._word(workers[stream], stream) for stream in ready]

    def stop(self) -> None:
        """Cancel the calls: an actor looks for that after every episode, publishes, and then answers `close`."""
        self.stopping = True
        for worker, stream in self.streams.items():
            self.ray.cancel(stream)
            self.streams[worker] = self.actors[worker].close.remote()

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker, actor in self.actors.items():
            if worker in self.streams and not self.stopping:
                self.ray.cancel(self.streams[worker])
            with contextlib.suppress(self.ray.exceptions.RayError):
                self.ray.get(actor.close.remote())
            self.ray.kill(actor)
        self._end()

    def _word(self, worker: int, stream: Any) -> News:
        try:
            word = self.ray.get(stream if self.stopping else next(stream))
            if not self.stopping:
                return Played(worker, *word)
        except StopIteration:
            pass
        except self.ray.exceptions.RayTaskError as error:
            del self.streams[worker]
            return Failed(worker, _cause(error))
        except self.ray.exceptions.RayActorError:
            del self.streams[worker], self.actors[worker]
            return Lost(worker, "was killed")
        del self.streams[worker]
        return Finished(worker)

    def _begin(self, address: str, workers: int) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == LOCAL:
            if self.ray.util.get_node_ip_address() != LOOPBACK:
                raise ConfigError(
                    "Ray was imported too early to be kept to this machine; let agents.recording.on_ray.import_ray do it"
                )
            self.ray.init(
                address=LOCAL,
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                _node_ip_address=LOOPBACK,
                **quiet,
            )
            return
        variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            self.ray.init(address=address, runtime_env={"env_vars": variables}, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"no Ray at {address!r}: {error}; start one with 'ray start', or say --ray {LOCAL}") from error

    def _end(self) -> None:
        if self.ours:
            self.ray.shutdown()


class _Actor:
    """One worker. Its environment is made in the first call, so that a mistake there comes back as that call's."""

    def __init__(self, worker: int, make_env: MakeEnv, config: RecordConfig, root: Path):
        self.make = lambda: Recorder(make_env, config, root, str(worker))
        self.recorder: Recorder | None = None

    def play(self, hand: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Record these episodes unless the call is cancelled, yielding (number, number of actions)."""
        import ray

        self.recorder = self.recorder or self.make()
        try:
            yield from self.recorder.play(hand, ray.get_runtime_context().is_canceled)
        except Exception as error:
            self._leave(error)
            raise

    def close(self) -> None:
        """Publish what there is and let go of the dataset."""
        self._leave(None)

    def _leave(self, error: Exception | None) -> None:
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            recorder.__exit__(type(error) if error else None, error, None)


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Give SIGTERM its handler back: `ray.init` puts one there that ends the process before the actors have published."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _cause(error: Any) -> Exception:
    """What the actor raised, with its traceback as a note."""
    cause = error.cause if isinstance(error.cause, Exception) else error
    cause.add_note(str(error))
    return cause
