"""Envoy's configuration, made from the contracts: pure functions of ``Gateway``."""

from services.gateway.envoy.config import Gateway, Limits, Tls
from services.gateway.envoy.launch import command, write
from services.gateway.envoy.render import render

__all__ = ["Gateway", "Limits", "Tls", "command", "render", "write"]
