"""Places to write into, checked before the work whose result they are for.

require_file("--json", path)
require_folder("--out", folder)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from worldmodel.errors import ConfigError


def require_file(name: str, path: Path) -> None:
    """Raise ConfigError, which names the flag, unless a file can be written there; its folders may still be to be made."""
    if path.is_dir():
        raise ConfigError(f"{name}: {path} is a folder; expected a file, such as {path / 'NAME'}")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{name}: {path} is no file; expected one, which is replaced as a whole")
    require_folder(name, path.parent)


def require_folder(name: str, folder: Path) -> None:
    """Raise ConfigError, which names the flag, unless files can be written into a folder, which may still be to be made."""
    place = next(place for place in (folder, *folder.parents, Path()) if place.exists())
    if not place.is_dir():
        raise ConfigError(f"{name}: {place} is a file; expected a folder")
    try:
        tempfile.TemporaryFile(dir=place).close()  # it has no name, and leaves nothing
    except OSError as error:
        raise ConfigError(f"{name}: cannot write {place} ({error.strerror}); choose another place") from error
