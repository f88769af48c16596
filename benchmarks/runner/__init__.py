"""Benchmarks of the task runner against its peers."""
