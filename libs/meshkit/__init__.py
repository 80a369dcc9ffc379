"""Shared code of the services: server, interceptors, stores, streams. Written by hand."""
