"""What answers of a server mean."""

import pytest

from faena.drivers.redis.faults import translated, unreachable
from faena.errors import BackendUnavailable, BrokerUnavailable, LeaseLost, ServerRefused, ServerUnavailable


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'. script: 5", ServerUnavailable, "out of memory"),
        ("ERR Error running script (call to f_5): @user_script:9: @user_script: 9: -OOM command not allowed",
         ServerUnavailable, "out of memory"),
        ("READONLY You can't write against a read only replica.", ServerUnavailable, "a replica"),
        ("ERR Error running script (call to f_5): @user_script:9: -READONLY You can't", ServerUnavailable, "a replica"),
        ("LOADING Redis is loading the dataset in memory", ServerUnavailable, "still loading"),
        ("MISCONF Redis is configured to save RDB snapshots", ServerUnavailable, "cannot save"),
        ("MOVED 3999 127.0.0.1:6381", ServerUnavailable, "has moved our keys"),
        ("NOAUTH Authentication required.", ServerRefused, "wants a password"),
        ("WRONGPASS invalid username-password pair", ServerRefused, "does not take"),
        ("NOPERM this user has no permissions", ServerRefused, "may not do that"),
        ("WRONGTYPE Operation against a key", ServerRefused, "another program"),
        ("ERR unknown command 'EVALSHA'", ServerRefused, "it answered: ERR unknown command 'EVALSHA'"),
    ],
)  # fmt: skip
def test_an_answer_becomes_an_error_that_says_what_to_do(answer, kind, text):
    error = translated("redis://host", Exception(answer))
    assert type(error) is kind
    assert str(error).startswith("redis://host: ")
    assert text in str(error)


def test_a_lost_lease_names_its_holder():
    error = translated("redis://host", Exception("LEASELOST 42"))
    assert isinstance(error, LeaseLost)
    assert error.holder == "42"


def test_an_unreachable_server_is_no_broker_and_no_backend():
    error = unreachable("redis://host", ConnectionRefusedError(111, "Connection refused"))
    assert isinstance(error, BrokerUnavailable)
    assert isinstance(error, BackendUnavailable)
    assert str(error) == "redis://host: it cannot be reached: Connection refused"
    assert str(unreachable("redis://host", TimeoutError())) == "redis://host: it did not answer in time"
