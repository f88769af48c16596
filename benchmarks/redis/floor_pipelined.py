"""The floor with redis-py's pipelines."""

from benchmarks.redis.floor import FloorSide


class Side(FloorSide):
    kind = "pipelined"
