"""How results of batches lie on Redis, and for how long."""

import time

import pytest
from msgspec.structs import replace
from tests.conformance.redis_place import RedisPlace

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.testing.conformance.stage import ids, message
from faena.testing.conformance.together import ended, kept

KEPT_S = 600
MOMENT = "0123456789a"


def of_one_moment(count):
    return [message(id=MOMENT + new_id()[len(MOMENT) :]) for _ in range(count)]


class Site(RedisPlace):
    """Where what lies on the server is looked at."""

    def keys(self, kind):
        return sorted(each.decode() for each in self.ask("KEYS", f"{self.head}{kind}:*".replace("{", "[{]")))

    def complete(self, sent, kept_s=KEPT_S, value=b"1"):
        run(self.broker.publish(sent))
        batch = run(self.consumer.receive(len(sent), 0.0))
        assert ids(batch) == ids(sent)
        assert all(run(self.settler.complete(ended(batch, time.time() + kept_s, value))))

    def values(self, sent):
        return [record and record.value for record in run(self.backend.read(ids(sent)))]


@pytest.fixture
def site(redis_server):
    site = Site(redis_server.url)
    yield site
    site.close()


class TestTogether:
    def test_a_batch_of_one_moment_is_one_key_that_lives_as_long_as_its_results_and_a_sixtieth(self, site):
        sent = of_one_moment(500)
        site.complete(sent)
        key = f"{site.head}rm:{MOMENT}"
        assert (site.keys("rm"), site.keys("r")) == ([key], [])
        assert site.ask("HLEN", key) == 500
        assert KEPT_S * 1000 < site.ask("PTTL", key) <= (KEPT_S + 1) * 1000 * 61 / 60
        assert site.values(sent) == [b"1"] * 500

    def test_what_is_kept_for_days_lies_a_minute_longer_at_most(self, site):
        site.complete(of_one_moment(50), kept_s=864_000)
        assert site.ask("PTTL", f"{site.head}rm:{MOMENT}") <= 864_000_000 + 61_000

    def test_a_few_of_a_moment_lie_by_themselves_beside_the_many_of_another(self, site):
        few, many = [message() for _ in range(3)], of_one_moment(50)
        few = [replace(each, id="0" + each.id[1:]) for each in few]
        site.complete([*few, *many])
        assert (len(site.keys("rm")), len(site.keys("r"))) == (1, 3)
        assert site.values([*few, *many]) == [b"1"] * 53

    def test_a_hash_does_not_live_on_for_those_that_come_later(self, site):
        first, late = of_one_moment(50), of_one_moment(50)
        site.complete(first)
        key = f"{site.head}rm:{MOMENT}"
        site.ask("PEXPIRE", key, KEPT_S * 1000 - 1000)  # as if more than a sixtieth of that time had passed
        site.complete(late, value=b"2")
        assert site.ask("PTTL", key) < KEPT_S * 1000
        assert (site.ask("HLEN", key), len(site.keys("r"))) == (50, 50)
        assert site.values([*first, *late]) == [b"1"] * 50 + [b"2"] * 50
        left_ms = site.ask("PTTL", site.keys("r")[0])
        assert KEPT_S * 1000 - 5000 < left_ms <= (KEPT_S + 1) * 1000

    def test_only_what_lives_about_as_long_goes_into_the_same_hash(self, site):
        first, alike, shorter, longer = (of_one_moment(50) for _ in range(4))
        site.complete(first)
        site.complete(alike, kept_s=KEPT_S - 1)
        assert (site.ask("HLEN", f"{site.head}rm:{MOMENT}"), len(site.keys("r"))) == (100, 0)
        site.complete(shorter, kept_s=KEPT_S - 30)
        site.complete(longer, kept_s=KEPT_S + 30)
        assert (site.ask("HLEN", f"{site.head}rm:{MOMENT}"), len(site.keys("r"))) == (100, 100)
        assert site.values([*first, *alike, *shorter, *longer]) == [b"1"] * 200

    def test_what_is_kept_for_less_than_a_minute_lies_by_itself_and_goes_in_time(self, site):
        sent = of_one_moment(50)
        site.complete(sent, kept_s=0.3)
        assert (site.keys("rm"), len(site.keys("r"))) == ([], 50)
        until_s = time.monotonic() + 10.0
        while any(site.values(sent)):
            assert time.monotonic() < until_s

    def test_no_hash_takes_more_than_the_server_lets_go_of_at_once(self, site):
        filled = [word for number in range(10_000) for word in (f"{MOMENT}{number}", "T")]
        site.ask("HSET", f"{site.head}rm:{MOMENT}", *filled)
        site.ask("PEXPIRE", f"{site.head}rm:{MOMENT}", (KEPT_S + 5) * 1000)
        sent = of_one_moment(50)
        site.complete(sent)
        assert (site.ask("HLEN", f"{site.head}rm:{MOMENT}"), len(site.keys("r"))) == (10_000, 50)
        assert site.values(sent) == [b"1"] * 50

    def test_what_is_recorded_beside_another_broker_lies_together_as_well(self, site):
        sent = of_one_moment(50)
        records = [kept(each, time.time() + KEPT_S) for each in sent]
        assert all(run(site.backend.record(records)))
        assert (len(site.keys("rm")), len(site.keys("r"))) == (1, 0)
        assert not any(run(site.backend.record([replace(each, value=b"2") for each in records])))
        assert site.values(sent) == [b"1"] * 50

    def test_of_records_that_come_twice_at_once_the_first_stands(self, site):
        sent = of_one_moment(50)
        records = [kept(each, time.time() + KEPT_S) for each in sent]
        twice = [*records, *(replace(each, value=b"2") for each in records)]
        assert list(run(site.backend.record(twice))) == [True] * 50 + [False] * 50
        assert site.values(sent) == [b"1"] * 50
