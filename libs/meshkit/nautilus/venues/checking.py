"""An adapter's config given as JSON, checked field by field before anything is stored."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import msgspec

from meshkit.errors import FieldViolation, InvalidArgument, bad_field
from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues.errors import SecretInConfig
from meshkit.nautilus.venues.facts import REFUSED
from meshkit.nautilus.venues.forms import data_config, decode, exec_config, form, is_secret, schema
from meshkit.nautilus.venues.lookup import data_adapter, exec_adapter

Json = Mapping[str, Any]

FIELD = "config_json"
_PLACE = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(.*)`")
_MISSING = re.compile(r"missing required field `(.*)`")
_SCHEMES = {"_http": ("http", "https"), "_ws": ("ws", "wss")}
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def check_config(venue: str, config: Json, *, field: str = FIELD) -> dict[str, Any]:
    """Return the config, which a data client of the venue takes as it is.

    ``field`` is where the config stands in the request. Raises ``VenueNotFound``,
    ``VenueWithoutData``, ``VenueExtraMissing``, ``VenueBroken``, ``SecretInConfig``, or
    ``InvalidArgument`` naming the field.
    """
    make_config(data_adapter(venue), config, field=field)
    return dict(config)


def check_exec_config(venue: str, config: Json, *, field: str = FIELD) -> dict[str, Any]:
    """Return the config, which an execution client of the venue takes as it is, with secrets.

    Raises as ``check_config``, and ``VenueWithoutOrders``.
    """
    make_exec_config(exec_adapter(venue), config, field=field)
    return dict(config)


def make_config(adapter: VenueAdapter, config: Json, *, field: str = FIELD) -> Any:
    """Return the adapter's data config; raises ``SecretInConfig`` or ``InvalidArgument``."""
    return _make(adapter, data_config(adapter), config, field)


def make_exec_config(adapter: VenueAdapter, config: Json, *, field: str = FIELD) -> Any:
    """Return the adapter's execution config; raises as ``make_config``."""
    return _make(adapter, exec_config(adapter), config, field)


def _make(
    adapter: VenueAdapter, config_type: type[msgspec.Struct], config: Json, field: str
) -> Any:
    for path, name in _names(config, field):
        if is_secret(adapter, name):
            raise _secret(adapter, path, name)
        if name in REFUSED:
            raise bad_field(path, REFUSED[name])
    form_type = form(adapter, config_type)
    try:
        values = decode(form_type, config)
        _check_urls(config, field)
        return config_type(**values)
    except msgspec.ValidationError as error:
        raise _invalid(schema(adapter, config_type), field, str(error)) from None
    except (TypeError, ValueError) as error:  # what the config class itself refuses
        raise bad_field(field, f"was refused: {' '.join(str(error).split())[:200]}") from None


def _names(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of every key, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield f"{path}.{name}", str(name)
            yield from _names(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _names(inner, f"{path}[{index}]")


def _secret(adapter: VenueAdapter, path: str, name: str) -> SecretInConfig:
    variables = adapter.secrets.get(name, ())
    where = " or ".join(variables) if variables else "a variable that the adapter reads"
    text = (
        "is a secret, and a config can be read by others. Set it in the environment of the "
        f"market-data service as {where}, or for a trader in a credential, and leave it out here"
    )
    return SecretInConfig(
        f"{path}: {text}",
        metadata={"field": path, "environment": ",".join(variables)},
        violations=[FieldViolation(path, text)],
    )


def _invalid(form_schema: Json, field: str, text: str) -> InvalidArgument:
    """Return msgspec's error with its path in the request and, for a name, the nearest known."""
    found = _PLACE.match(text)
    message, place = (found[1], found[2] or "") if found else (text, "")
    path = field + place
    node = _at(form_schema, place)
    if unknown := _UNKNOWN.search(message):
        known = list(node.get("properties", {}))
        near = get_close_matches(unknown[1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        return bad_field(f"{path}.{unknown[1]}", f"is no field of this config: {hint}")
    if missing := _MISSING.search(message):
        return bad_field(f"{path}.{missing[1]}", "is required")
    choices = ", ".join(map(str, node.get("enum", ())))
    if message.startswith("Invalid enum value") and choices:
        message = f"{message}, use one of {choices}"
    return bad_field(path, message[0].lower() + message[1:])


def _at(root: Json, place: str) -> Json:
    """Return what a schema says of a place such as ``.instrument_provider.load_ids[0]``."""
    node = _resolved(root, root)
    for name, _ in re.findall(r"\.(\w+)|(\[)", place):
        inner = "properties" if name else "items" if "items" in node else "additionalProperties"
        found = node.get(inner) or {}
        node = _resolved(root, found.get(name, {}) if name else found)
    return node


def _resolved(root: Json, node: Json) -> Json:
    """Follow references, and of alternatives the one that is not null."""
    if "$ref" in node:
        target: Json = root["$defs"][node["$ref"].rpartition("/")[2]]
        return _resolved(root, target)
    options = [_resolved(root, each) for each in node.get("anyOf", ())]
    return next((each for each in options if each.get("type") != "null"), node)


def _check_urls(config: Json, field: str) -> None:
    for name, value in config.items():
        if not isinstance(value, str) or not name.startswith(("base_url", "proxy_url")):
            continue
        allowed = _PROXY_SCHEMES if name.startswith("proxy") else _schemes(name)
        try:
            parts = urlsplit(value)
            bad = not parts.hostname or (allowed and parts.scheme not in allowed)
            _ = parts.port  # raises for one that is no number
        except ValueError:
            bad = True
        if bad:
            schemes = " or ".join(f"{each}://" for each in allowed or ("http", "https"))
            raise bad_field(f"{field}.{name}", f"must be a URL that begins with {schemes}")
        if parts.username or parts.password:
            raise bad_field(
                f"{field}.{name}",
                "must hold no user and no password: a config can be read by others",
            )


def _schemes(name: str) -> tuple[str, ...]:
    return next((schemes for part, schemes in _SCHEMES.items() if part in name), ())
