"""Valkey and PostgreSQL from wheels, started and stopped by us: no server, no Docker, no root."""
