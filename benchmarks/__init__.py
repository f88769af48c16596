"""Benchmarks: what faena costs, against real peers and against the floor of the store it stands on."""
