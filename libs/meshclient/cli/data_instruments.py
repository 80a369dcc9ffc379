"""``meshctl data instruments``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from mesh.marketdata.v1 import instrument_pb2
from meshclient.cli.base import Shell, command
from meshclient.cli.data import app as app  # these commands are added to it
from meshclient.errors import MeshClientError, SpecError


@command(app, "instruments")
async def instruments(
    shell: Shell,
    venue: Annotated[str, typer.Option(help="Only those of a venue.")] = "",
    create: Annotated[
        Path | None, typer.Option(help="Make the instrument that a JSON file defines.")
    ] = None,
    delete: Annotated[str, typer.Option(help="Remove an instrument by its id.")] = "",
) -> None:
    """List instruments, or make or remove one."""
    if create is not None:
        made = [await shell.mesh.instruments.create(_definition(create))]
    elif delete:
        await shell.mesh.instruments.delete(delete)
        made = []
    else:
        made = list(await shell.mesh.instruments.list(venue=venue))
    if shell.out.as_json:
        shell.out.json(made)
        return
    rows = [
        (
            each.definition.instrument_id,
            _type_name(each.definition.type),
            each.definition.quote_currency,
            each.definition.price_increment,
            each.definition.size_increment,
        )
        for each in made
    ]
    columns = ["instrument", "type", "currency", "price step", "size step"]
    shell.out.table(columns, rows, empty=f"{delete} removed" if delete else "No instruments.")


def _type_name(number: int) -> str:
    name = instrument_pb2.InstrumentType.Name(number)  # type: ignore[arg-type] # an open enum
    return name.removeprefix("INSTRUMENT_TYPE_").lower().replace("_", " ")


def _definition(file: Path) -> instrument_pb2.InstrumentDefinition:
    try:
        return json_format.ParseDict(
            json.loads(file.read_text("utf-8")), instrument_pb2.InstrumentDefinition()
        )
    except OSError as error:
        raise MeshClientError(
            f"{file}: {error.strerror}", code="INVALID_ARGUMENT", reason="FILE_UNREADABLE"
        ) from None
    except (ValueError, json_format.ParseError) as error:
        raise SpecError(f"{file}: {error}.") from None
