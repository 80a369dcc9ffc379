"""The form of an adapter's config: what a user of the service may set, and how it is checked.

A form is a msgspec struct made of the config class' fields without secrets and without what would
run code. It has a JSON Schema where the class has none (a default or a type that msgspec cannot
write), and decoding gives an error with the path of the fault.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from nautilus_trader.common.config import msgspec_decoding_hook, msgspec_encoding_hook
from nautilus_trader.live.config import LiveDataClientConfig, LiveExecClientConfig
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId

from meshkit.nautilus.config_schema import config_schema, enum_names
from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues.facts import REFUSED

_SECRET = re.compile(
    r"(^|_)(api_?key|app_?key|(api_?)?secret(_key)?|(api_?)?passphrase|password|private_?key"
    r"|mnemonic|(access|auth|api|bearer)_?token|token)$"
)
_URL = re.compile(r"^(base_url|proxy_url)|_gateway$|^ibg_(host|port)$")
_PARAMETER = re.compile(r"^(\w+) ?:[^\n]*\n((?:    [^\n]*\n|\n)+)", re.MULTILINE)


def data_config(adapter: VenueAdapter) -> type[LiveDataClientConfig]:
    """Return the data config of an adapter that gives data."""
    assert adapter.data_config is not None
    return adapter.data_config


def exec_config(adapter: VenueAdapter) -> type[LiveExecClientConfig]:
    """Return the execution config of an adapter that takes orders."""
    assert adapter.exec_config is not None
    return adapter.exec_config


def is_secret(adapter: VenueAdapter, name: str) -> bool:
    """Return whether a config field is a secret: said by the adapter, or so by its name."""
    return name in adapter.secrets or _SECRET.search(name.lower()) is not None


def is_url(name: str) -> bool:
    """Return whether a config field points the adapter at another address."""
    return _URL.search(name) is not None


def form(adapter: VenueAdapter, config: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return the form of a config class of the adapter."""
    fields = [
        (each.name, adapter.field_types.get(each.name, each.type), _default(each))
        for each in msgspec.structs.fields(config)
        if not _hidden(adapter, each.name)
    ]
    return msgspec.defstruct(
        config.__name__,
        fields,
        kw_only=True,
        forbid_unknown_fields=True,
        namespace={"__doc__": config.__doc__},
    )


def schema(adapter: VenueAdapter, config: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a form; raises what msgspec raises."""
    made = config_schema(form(adapter, config))
    definitions = made["$defs"]
    for definition in definitions.values():
        texts = _descriptions(definition.pop("description", ""))
        fields = definition.get("properties", {})
        for name in [name for name in fields if _hidden(adapter, name)]:
            del fields[name]
        for name, field in fields.items():
            if name in texts:
                field.setdefault("description", texts[name])
            if isinstance(field.get("default"), dict):
                visible = field["default"].items()
                field["default"] = {k: v for k, v in visible if not _hidden(adapter, k)}
    properties = definitions[config.__name__]["properties"]
    for each in msgspec.structs.fields(config):
        if each.name in properties and _unwritable(each.default):
            properties[each.name]["default"] = _written(each.default)
    return made


def decode(form_type: type[msgspec.Struct], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values given, as the types of the config; raises ``msgspec.ValidationError``."""
    text = msgspec.json.encode(config)
    made = msgspec.json.decode(text, type=form_type, dec_hook=_decode)
    return {name: getattr(made, name) for name in config}


def _hidden(adapter: VenueAdapter, name: str) -> bool:
    return name in REFUSED or name in adapter.refused or is_secret(adapter, name)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    if field.default is msgspec.NODEFAULT:
        return msgspec.field()
    return msgspec.field(default=None if _unwritable(field.default) else field.default)


def _unwritable(value: object) -> bool:
    if value is msgspec.NODEFAULT:
        return False
    try:
        msgspec.to_builtins(value, str_keys=True)
    except TypeError:
        return True
    return False


def _written(value: object) -> Any:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=msgspec_encoding_hook)


def _decode(type_: type, value: Any) -> Any:
    """Return a Nautilus value; every failure is a ValueError, which msgspec gives its path."""
    # Nautilus' identifiers end the process for text that is not ASCII.
    if not isinstance(value, str) or not value.isascii() or not value.strip():
        raise ValueError(_expected(type_))
    try:
        return msgspec_decoding_hook(type_, value)
    except Exception:
        raise ValueError(_expected(type_)) from None


def _expected(type_: type) -> str:
    if names := enum_names(type_):
        return f"Expected one of {', '.join(names)}"
    known = {InstrumentId: "such as BTCUSDT.BINANCE", BarType: "such as 1-MINUTE-LAST-EXTERNAL"}
    example = f", {known[type_]}" if type_ in known else ""
    return f"Expected {_words(type_.__name__)} as ASCII text{example}"


def _words(name: str) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _descriptions(text: str) -> dict[str, str]:
    """Return what a docstring of Nautilus says of each parameter."""
    return {name: " ".join(body.split()) for name, body in _PARAMETER.findall(text + "\n")}
