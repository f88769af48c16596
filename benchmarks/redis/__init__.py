"""faena on Redis, measured against its peers and against hand-written loops.

`python -m benchmarks.redis` runs it, `--quick` one short round. It starts a Redis of its own on a free port and stops it.

How it measures:

- Each contender is a *side*: one module that speaks only its own public interface, run in a process of its own with the
  interpreter of its own environment (`side.py` holds the verbs: standard library only).
- The sides take turns inside every round, in an order that rotates, so that a slow minute of the machine hits all of
  them; the server is emptied before each. Figures are medians over the rounds, ratios are medians of the ratios within
  one round. Rounds of several runs may be put together (`--report`).
- Every side runs the same task bodies (`bodies.py`), and every result is read and compared once the clock has stopped.
- What each side guarantees, and how it was set up, is printed with the figures: a rate means little without it.

The floors (`floor.py`) are the least that keeps the promise that matters (results kept for an hour, acknowledged after the
run in the same step, nothing lost by kill -9), written by hand: once over a plain socket, once with redis-py's pipelines.
"""
