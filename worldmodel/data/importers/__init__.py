"""Rollouts from elsewhere into a dataset, in the order in which they travel:

    detect.py     which kind of source a path is
    lerobot_v2.py lerobot_v3.py minari_store.py robomimic.py d4rl.py videos.py    one format each: fields as they are there
    mapping.py    what the user says the fields become; plan.py checks that against the source
    mapped.py     source + map -> episodes in the dataset's names, units and rates
    driver.py     episodes -> dataset, streaming, resumed after a kill

base.py holds the protocols; bounds.py finds what an action is; values.py, pixels.py, hdf5.py and identity.py are small tools.
"""

from __future__ import annotations

from worldmodel.data.format.features import IMPORTED as RECORD
from worldmodel.data.importers.base import ImportedWorld, Importer, Source
from worldmodel.data.importers.detect import FORMATS, Kind, open_source
from worldmodel.data.importers.driver import Imported, import_into
from worldmodel.data.importers.mapped import MappedImporter
from worldmodel.data.importers.mapping import ImportMap, Rates, Unit

__all__ = [
    "FORMATS",
    "RECORD",
    "ImportMap",
    "Imported",
    "ImportedWorld",
    "Importer",
    "Kind",
    "MappedImporter",
    "Rates",
    "Source",
    "Unit",
    "import_into",
    "open_source",
]
