"""The market-data service: instruments, imports and history in Parquet catalogs."""
