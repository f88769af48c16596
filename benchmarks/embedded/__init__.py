"""The embedded store, measured: faena on SQLite against huey on SQLite and against a hand-written loop.

`python -m benchmarks.embedded` runs all of it in under five minutes, `--quick` in under one.

How it measures:

- Each contender is a *side*: one module that speaks only its own public interface, run in a process of its own with its
  own interpreter (`side.py` holds what the three have in common: verbs in, one line of JSON out).
- The sides take turns inside every round, in an order that rotates, so that a slow minute of the machine hits all of
  them; figures are medians over the rounds, ratios are medians of the ratios within one round.
- Every side runs the same task, which returns its argument, and every result is read and compared once the clock has
  stopped.
- What each side guarantees is printed with the figures: a rate means little without it.

The floor (`floor.py`) is the least that keeps the promise that matters (results kept, acknowledged after the run,
nothing lost by kill -9), written by hand on one SQLite file: no retries, no limits, no routing, no log.
"""
