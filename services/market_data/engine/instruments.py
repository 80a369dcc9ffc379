"""Instrument definitions checked by Nautilus, and written to and removed from a catalog."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model.instruments import SyntheticInstrument
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.nautilus.instruments import check_taken, describe, to_nautilus


@dataclass(frozen=True)
class Checked:
    """A definition that Nautilus takes, with what it filled in."""

    definition: InstrumentDefinition
    price_precision: int
    size_precision: int


def check(definition: InstrumentDefinition) -> Checked:
    """Return the definition as Nautilus has it; raises ``InvalidField``."""
    made = to_nautilus(definition)
    check_taken(made, definition)
    size = 0 if isinstance(made, SyntheticInstrument) else int(made.size_precision)
    return Checked(describe(made, definition), int(made.price_precision), size)


def write(root: Path, definition: InstrumentDefinition) -> None:
    """Write an instrument to a catalog, in place of one of its id."""
    made = to_nautilus(definition)
    if isinstance(made, SyntheticInstrument):
        return  # a catalog has no place for one: it is made of others, and has no data
    remove(root, str(made.id))
    root.mkdir(parents=True, exist_ok=True)
    ParquetDataCatalog(str(root)).write_data([made])


def remove(root: Path, instrument_id: str) -> None:
    """Remove an instrument from a catalog; its data has folders of other names."""
    name = instrument_id.replace("/", "")
    for folder in _classes(root):
        shutil.rmtree(folder / name, ignore_errors=True)


def _classes(root: Path) -> list[Path]:
    from meshkit.nautilus.instruments import class_names

    return [root / "data" / name.lower() for name in class_names()]
