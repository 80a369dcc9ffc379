"""Adapters → what is told of them. Called in a child process: it imports each adapter."""

import json
from dataclasses import replace

import msgspec

from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues import builtin, loading, plugins
from meshkit.nautilus.venues.builtin import Source
from meshkit.nautilus.venues.forms import data_config, form, is_url, schema
from meshkit.nautilus.venues.loading import text_of
from meshkit.nautilus.venues.lookup import extra_problem
from meshkit.nautilus.venues.model import Credential, VenueInfo
from meshkit.nautilus.venues.plugins import Plugin


def scan_builtin() -> list[VenueInfo]:
    """Return every adapter of the installed Nautilus, by name."""
    return [_builtin(source) for source in builtin.sources()]


def scan_plugin(plugin: Plugin) -> VenueInfo:
    """Return one plug-in; a broken one has its problem."""
    try:
        adapter = loading.load(plugin)
    except loading.Broken as error:
        return plugins.broken(plugin, str(error))
    module = plugin.target.partition(":")[0]
    return replace(_told(adapter), module=module, plugin=plugin.distribution)


def _builtin(source: Source) -> VenueInfo:
    failed = ""
    try:
        adapter = builtin.load(source)
    except Exception as error:  # whatever the import of somebody's module raises
        adapter = builtin.outline(source.facts)
        failed = f"It could not be imported: {text_of(error)}"
    told = _told(adapter)
    problem = source.facts.problem or told.problem or failed
    return replace(
        told,
        module=source.module,
        data="data_factory" in source.classes,
        execution="exec_factory" in source.classes,
        available=not problem,
        problem=problem,
        data_config=".".join(source.classes.get("data_config", ())),
    )


def _told(adapter: VenueAdapter) -> VenueInfo:
    lacks, problem = extra_problem(adapter)
    written, orders, urls = "", "", tuple[str, ...]()
    try:
        if adapter.data_config is not None:
            written, urls = json.dumps(schema(adapter, adapter.data_config)), _urls(adapter)
        if adapter.exec_config is not None:
            orders = json.dumps(schema(adapter, adapter.exec_config))
    except (TypeError, ValueError, NameError) as error:  # of a type that msgspec cannot read
        problem = problem or f"Its config has no JSON Schema: {text_of(error)}"
    return VenueInfo(
        venue=adapter.name,
        module="",
        data=adapter.data_factory is not None,
        execution=adapter.exec_factory is not None,
        available=not problem,
        extra=adapter.extra,
        missing_packages=lacks,
        problem=problem,
        data_config=_path(adapter.data_config),
        config_schema=written,
        exec_config_schema=orders,
        credentials=_credentials(adapter),
        url_fields=urls,
        nautilus_venues=adapter.venues,
        notes=adapter.notes,
    )


def _path(config: type | None) -> str:
    return f"{config.__module__}.{config.__qualname__}" if config is not None else ""


def _urls(adapter: VenueAdapter) -> tuple[str, ...]:
    names = [field.name for field in msgspec.structs.fields(form(adapter, data_config(adapter)))]
    return tuple(name for name in names if is_url(name) or name in adapter.url_fields)


def _credentials(adapter: VenueAdapter) -> tuple[Credential, ...]:
    return tuple(
        Credential(name, tuple(environment), name in adapter.required)
        for name, environment in adapter.secrets.items()
    )
