"""When the sun rises, sets and crosses the lines of twilight, to about a minute.

After the sheets of NOAA's Global Monitoring Laboratory ("General Solar Position Calculations", after Meeus, "Astronomical
Algorithms", chapter 25). Between the polar circles and the poles an event may be missing for months: then the next day that
has one counts.
"""

from __future__ import annotations

from math import acos, asin, cos, degrees, floor, radians, sin, tan
from typing import Literal, get_args

from msgspec import Struct

from faena.errors import InvalidSchedule, did_you_mean

SolarEvent = Literal[
    "dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise", "solar_noon",
    "sunset", "dusk_civil", "dusk_nautical", "dusk_astronomical",
]  # fmt: skip
EVENTS: tuple[str, ...] = get_args(SolarEvent)

_DAY_S = 86400.0
_HORIZON_DAYS = 400  # half a year of polar night, and the other half of polar day, for any event
_ZENITH = {"astronomical": 108.0, "nautical": 102.0, "civil": 96.0}
_ZENITH_OF_HORIZON = 90.833  # refraction, and half the disc


class Solar(Struct, frozen=True, gc=False, tag="solar"):
    """An event of the sun at a place. Degrees, north and east positive."""

    event: SolarEvent
    latitude: float
    longitude: float


def checked_solar(event: str, latitude: float, longitude: float) -> Solar:
    """Raises InvalidSchedule: there is no such event, or no such place."""
    if event not in EVENTS:
        known = f"{did_you_mean(event, EVENTS)} (known: {', '.join(EVENTS)})"
        raise InvalidSchedule(f"the sun has no event '{event}'{known}")
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        raise InvalidSchedule(
            f"latitude {latitude:g}, longitude {longitude:g} is no place: latitude goes from -90 (south) to 90, longitude "
            "from -180 (west) to 180"
        )
    return Solar(event, float(latitude), float(longitude))  # type: ignore[arg-type]  # looked at above


def following(solar: Solar, after_s: float) -> float | None:
    """Return the first whole second after `after_s` of such an event; None: none within 400 days."""
    today = floor((after_s + solar.longitude * 240) / _DAY_S)  # of the sun: four minutes for each degree
    for day in range(today - 1, today + _HORIZON_DAYS):
        moment_s = _event_s(solar, day)
        if moment_s is not None and moment_s > after_s:
            return moment_s
    return None


def _event_s(solar: Solar, day: int) -> float | None:
    noon_s = day * _DAY_S + _DAY_S / 2 - solar.longitude * 240
    moment_s = noon_s
    for _ in range(4):  # where the sun stands depends on the moment that is looked for
        declination, equation_s = _position(moment_s)
        angle = _hour_angle(solar, declination)
        if angle is None:
            return None
        moment_s = noon_s - equation_s + angle * 240
    return float(round(moment_s))


def _hour_angle(solar: Solar, declination: float) -> float | None:
    """Return by how many degrees the earth has turned since noon; None: the sun does not get there that day."""
    if solar.event == "solar_noon":
        return 0.0
    when, _, twilight = solar.event.partition("_")
    zenith = radians(_ZENITH.get(twilight, _ZENITH_OF_HORIZON))
    latitude = radians(max(-89.999, min(89.999, solar.latitude)))
    cosine = cos(zenith) / (cos(latitude) * cos(declination)) - tan(latitude) * tan(declination)
    if not -1 <= cosine <= 1:
        return None
    angle = degrees(acos(cosine))
    return -angle if when in ("dawn", "sunrise") else angle


def _position(moment_s: float) -> tuple[float, float]:
    """Return the declination of the sun in radians, and by how many seconds a sundial is before a clock."""
    century = (moment_s / _DAY_S - 10957.5) / 36525  # Julian centuries since noon of 1 January 2000
    mean_longitude = radians((280.46646 + century * (36000.76983 + century * 0.0003032)) % 360)
    anomaly = radians(357.52911 + century * (35999.05029 - 0.0001537 * century))
    eccentricity = 0.016708634 - century * (0.000042037 + 0.0000001267 * century)
    centre = (
        sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + sin(3 * anomaly) * 0.000289
    )
    node = radians(125.04 - 1934.136 * century)
    longitude = mean_longitude + radians(centre - 0.00569 - 0.00478 * sin(node))
    tilt_seconds = 21.448 - century * (46.815 + century * (0.00059 - century * 0.001813))
    tilt = radians(23 + (26 + tilt_seconds / 60) / 60 + 0.00256 * cos(node))
    half = tan(tilt / 2) ** 2
    equation = (
        half * sin(2 * mean_longitude)
        - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * half * sin(anomaly) * cos(2 * mean_longitude)
        - 0.5 * half * half * sin(4 * mean_longitude)
        - 1.25 * eccentricity * eccentricity * sin(2 * anomaly)
    )
    return asin(sin(tilt) * sin(longitude)), degrees(equation) * 240
