"""Datasets at a URL: meta is fetched when the dataset is opened, each other file when it is read for the first time.

Anything that fsspec knows: memory://, file://, s3://, gs://, hf:// ... ; backends other than the first two are packages of
their own. What is fetched is kept in a folder of this machine, under the name that it has in the dataset, and is not believed
before its checksum has been compared, where the dataset has one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worldmodel.data.format.features import CHECKSUMS, INFO
from worldmodel.data.format.files import inside, one_line, publish, publish_json, read_json, sha256_of
from worldmodel.data.format.locks import lock
from worldmodel.errors import DataError, MissingExtraError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+")
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
"""Scheme of a URL -> the package of the extra `remote` that fsspec reads it by."""
_NOTES = ".fetched"
"""Folder of one small JSON file for each file that has been fetched: what it was when it was."""
_LOCK = ".lock"
"""Held while meta is fetched; a folder without it is not one that is filled from a URL."""
_BLOCK = 1 << 20


def url_of(place: Path | str) -> str | None:
    """The URL that `place` is, None for a path of this machine; a Path, which has lost one of the slashes, gets it back."""
    text = str(place)
    match = _SCHEME.match(text)
    if match is None or (isinstance(place, Path) and place.exists()):
        return None
    root = "/" if match[1] == "file" else ""
    return text if "://" in text else f"{match[1]}://{root}{text[match.end() :]}"


def default_place(url: str) -> Path:
    """Where the files of a remote dataset are kept: a folder of the user's cache, named after the URL."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = re.sub(r"[^\w.-]+", "-", url.rstrip("/").rpartition("/")[2]).strip("-.") or "dataset"
    return base / "worldmodel" / "remote" / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


class RemoteFolder:
    """The files of a dataset at a URL, kept in the folder `root` of this machine once they are fetched. A `Folder`.

    Args:
        url: the dataset's folder.
        root: where to keep its files; None is `default_place`.

    Raises:
        DataError: there is no dataset, or it cannot be reached.
        MissingExtraError: the package that fsspec needs for the URL is not installed.
    """

    def __init__(self, url: str, root: Path | None = None):
        self.url = re.sub(r"//[^/@]*@", "//", url.rstrip("/"))  # as it is shown: without a password
        self.root = Path(root) if root is not None else default_place(url)
        self._checked: set[str] = set()
        self._fs, self._base = self._connect(url)
        if (self.root / "meta").exists() and not (self.root / _LOCK).exists():
            raise DataError(f"{self.root} holds another dataset; choose a new folder to keep {self.url} in")
        busy = f"{self.root} is being filled by another process; try again when it has finished"
        with lock(self.root / _LOCK, exclusive=True, wait=600.0, busy=busy):
            self._fetch_meta()
        self._checksums = read_json(self.root / CHECKSUMS) if (self.root / CHECKSUMS).exists() else {}

    def path(self, relative: str) -> Path:
        """A file of the dataset, fetched unless it is here already.

        Raises:
            DataError: no such file, it is not what its checksum says, it leads out of the dataset, or the disk is full.
        """
        path = inside(self.root, relative)
        if relative not in self._checked:
            if not self._is_here(relative, path):
                self._fetch(relative, path)
            self._checked.add(relative)
        return path

    def size(self, relative: str) -> int:
        """Size of a file [bytes], without fetching it."""
        inside(self.root, relative)
        return int(self._info(relative)["size"])

    def _connect(self, url: str) -> tuple[Any, str]:
        import fsspec

        try:
            fs, base = fsspec.core.url_to_fs(url)
        except ImportError as error:
            package = _PACKAGES.get(self.url.partition(":")[0])
            remedy = f"{package} is not installed: pip install 'worldmodel[remote]'" if package else one_line(error)
            raise MissingExtraError(f"cannot open {self.url}: {remedy}") from error
        except (ValueError, OSError) as error:
            raise DataError(f"cannot open {self.url}: {one_line(error)}") from error
        return fs, str(base).rstrip("/")

    def _fetch_meta(self) -> None:
        """The whole meta folder as it is now; info.json, which makes the rest count, comes last."""
        with self._reaching("meta"):
            found = self._fs.find(f"{self._base}/meta")
        names = [f"meta/{path.rpartition(f'{self._base}/meta/')[2]}" for path in map(str, found)]
        names = sorted((name for name in names if not Path(name).name.startswith(".")), key=lambda name: (name == INFO, name))
        if INFO not in names:
            raise DataError(f"{self.url} is no dataset: {INFO} is missing; expected the folder of one")
        for name in names:
            path = inside(self.root, name)
            if name == INFO:
                for old in (self.root / "meta").rglob("*"):  # files that the dataset no longer has
                    if old.is_file() and str(old.relative_to(self.root)) not in names:
                        old.unlink()
            self._fetch(name, path)

    def _is_here(self, relative: str, path: Path) -> bool:
        """It has been fetched, and has not changed at its source since."""
        note = self.root / _NOTES / f"{relative}.json"
        return path.is_file() and note.exists() and read_json(note) == self._note(relative)

    def _note(self, relative: str) -> dict[str, Any]:
        """What tells one state of a file from another: its checksum, or what the source says of it."""
        if relative in self._checksums:
            return {"sha256": self._checksums[relative]}
        info = self._info(relative)
        return {key: str(info[key]) for key in ("size", "mtime", "created", "ETag", "etag") if key in info}

    def _info(self, relative: str) -> dict[str, Any]:
        with self._reaching(relative):
            return self._fs.info(f"{self._base}/{relative}")

    def _fetch(self, relative: str, path: Path) -> None:
        note = None if relative.startswith("meta/") else self._note(relative)

        def download(part: Path) -> None:
            with self._reaching(relative), self._fs.open(f"{self._base}/{relative}", "rb") as source, open(part, "wb") as file:
                while block := source.read(_BLOCK):
                    file.write(block)
            if note and "sha256" in note and sha256_of(part) != note["sha256"]:
                raise DataError(f"{self.url}/{relative} is not what was written: its checksum differs")

        publish(path, download)
        if note is not None:
            publish_json(self.root / _NOTES / f"{relative}.json", note)

    @contextlib.contextmanager
    def _reaching(self, relative: str) -> Iterator[None]:
        """Turn what a backend raises into one line that names the file."""
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(f"{self.url}/{relative} is missing; expected a file of the dataset") from error
        except DataError:
            raise
        except Exception as error:  # each backend has exceptions of its own, which cannot be named without it
            raise DataError(f"cannot read {self.url}/{relative}: {type(error).__name__} {one_line(error)}") from error
