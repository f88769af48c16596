"""The floor over a plain socket."""

from benchmarks.redis.floor import FloorSide


class Side(FloorSide):
    kind = "raw"
