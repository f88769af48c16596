"""When the sun rises and sets, against almanacs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from faena.errors import InvalidSchedule
from faena.model.sun import checked_solar, following


# National Geographic Institute of Spain, US Naval Observatory and Geoscience Australia, to the minute
@pytest.mark.parametrize(
    ("place", "event", "after", "moment"),
    [
        ((40.4168, -3.7038), "sunrise", "2024-06-21T00:00Z", "2024-06-21T04:45Z"),
        ((40.4168, -3.7038), "sunset", "2024-12-21T00:00Z", "2024-12-21T16:52Z"),
        ((51.4779, 0.0), "solar_noon", "2024-03-20T00:00Z", "2024-03-20T12:07Z"),
        ((-33.8688, 151.2093), "sunrise", "2024-01-01T00:00Z", "2024-01-01T18:48Z"),
    ],
)
def test_events_come_within_a_minute_of_the_almanac(
    place: tuple[float, float], event: str, after: str, moment: str
) -> None:
    found_s = following(checked_solar(event, *place), datetime.fromisoformat(after).timestamp())
    assert found_s is not None
    assert abs(found_s - datetime.fromisoformat(moment).timestamp()) <= 60


def test_a_day_has_its_events_in_their_order() -> None:
    after_s = datetime(2024, 3, 1, tzinfo=UTC).timestamp()
    names = (
        "dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise", "solar_noon",
        "sunset", "dusk_civil", "dusk_nautical", "dusk_astronomical",
    )  # fmt: skip
    moments = [following(checked_solar(name, 48.2, 16.4), after_s) for name in names]
    assert all(moments)
    assert moments == sorted(moments, key=lambda moment: moment or 0)


def test_each_day_has_one_event_everywhere_between_the_polar_circles() -> None:
    for longitude in range(-180, 181, 30):
        at_s: float | None = datetime(2023, 1, 1, tzinfo=UTC).timestamp()
        for _ in range(60):
            before_s, at_s = at_s, following(checked_solar("sunset", 35.0, longitude), at_s or 0.0)
            assert at_s is not None
            assert before_s is not None
            assert 0 < at_s - before_s <= 86400 + 180


def test_polar_night_is_waited_out() -> None:
    found_s = following(checked_solar("sunrise", 69.65, 18.96), datetime(2024, 12, 1, tzinfo=UTC).timestamp())
    assert found_s is not None
    assert datetime.fromtimestamp(found_s, UTC).date().isoformat() in ("2025-01-14", "2025-01-15", "2025-01-16")


def test_what_the_sun_does_not_do_is_refused_with_what_it_does() -> None:
    with pytest.raises(
        InvalidSchedule, match=r"the sun has no event 'sunrize'; did you mean 'sunrise'\? \(known: dawn_astro"
    ):
        checked_solar("sunrize", 0, 0)
    with pytest.raises(InvalidSchedule, match="latitude 100, longitude 0 is no place"):
        checked_solar("sunrise", 100, 0)
