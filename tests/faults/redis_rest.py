"""What a server of Redis may hold when nothing is under way."""

from faena._lib.drive import run

# A key of one of these kinds goes with what it holds, and nothing is held any more.
_EMPTY_AT_REST = (
    "q:", "d:", "m", "h:", "leases", "x", "tombs", "paused", "parked", "pe:", "pd", "pw", "wu:", "wfu", "wb:", "cw:", "c:",
)  # fmt: skip


def check_keys(driver, seed):
    """Nothing is held, and whatever is there has an end."""
    keys = [key.decode() for key in run(driver.command("KEYS", "*"))]
    names = {key.removeprefix("{faena}:") for key in keys}
    assert len(names) == len(keys)
    assert {key for key in keys if not key.startswith("{faena}:")} == set()
    held = {
        name for name in names for kind in _EMPTY_AT_REST if name == kind or (kind[-1] == ":" and name.startswith(kind))
    }
    assert held == set(), f"seed {seed}"
    assert {key for key in keys if run(driver.command("PTTL", key)) == -1} == set(), f"seed {seed}: without an end"
