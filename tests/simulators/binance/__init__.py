"""Binance spot and USDT-M futures on loopback, written from the venue's public documentation."""
