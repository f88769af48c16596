"""Type-checked, never run: what users write must be understood by mypy and pyright."""
