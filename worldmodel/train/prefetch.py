"""The next batches, made by one background thread while the model works on this one."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import replace

import torch

from worldmodel.data.loading.batches import BatchSource
from worldmodel.types import Window


class Prefetcher:
    """The batches of a source, in its order.

    Each batch travels with the source's state right after it, so that a state saved with the weights never counts
    batches that were prepared but not learned from.
    """

    def __init__(self, batches: BatchSource, depth: int = 2) -> None:
        self._batches = batches
        self._queue: queue.Queue[tuple[Window, str] | Exception] = queue.Queue(maxsize=depth)
        self._peeked: tuple[Window, str] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)

    def __enter__(self) -> Prefetcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def next(self) -> tuple[Window, str]:
        """The next batch, and the source's state after it as JSON. Raises what the thread ran into."""
        if self._peeked is not None:
            peeked, self._peeked = self._peeked, None
            return peeked
        item = self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def peek(self) -> Window:
        """The next batch, which it still is afterwards."""
        if self._peeked is None:
            self._peeked = self.next()
        return self._peeked[0]

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                window = self._batches.next()
                item = (window, json.dumps(self._batches.state_dict()))
            except Exception as error:  # whatever it is, it belongs to whoever waits for the batch
                self._put(error)
                return
            self._put(item)

    def _put(self, item: tuple[Window, str] | Exception) -> None:
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue


def move(window: Window, device: torch.device) -> Window:
    """The same window on `device`; the indices that only name it stay where they are."""
    return replace(
        window,
        observations={key: value.to(device, non_blocking=True) for key, value in window.observations.items()},
        actions=window.actions.to(device, non_blocking=True),
        labels={key: value.to(device, non_blocking=True) for key, value in window.labels.items()},
    )
