"""What `circuit_breaker=` may say, and what is refused."""

from datetime import timedelta

import pytest

from faena import CircuitBreaker, Faena
from faena.errors import InvalidTask, NotSupported
from faena.model.breaker import BreakerRule
from faena.worker.limits import refuse_unless_limited


def declared(given):
    app = Faena("app", broker="memory://breaker", set_as_current=False)

    @app.task(name="pay", circuit_breaker=given)
    def pay():
        pass

    return pay


def test_true_is_the_defaults_and_each_part_can_be_said():
    assert declared(None).breaker is None
    assert declared(False).breaker is None
    assert not declared(False).has_flow
    found = declared(True)
    assert found.has_flow
    assert found.breaker.rule == BreakerRule(0.5, 10, 60.0, 30.0, 600.0)
    assert found.breaker.errors == (Exception,)
    given = CircuitBreaker(error_rate=1, least=3, within="2m", pause=timedelta(seconds=5), max_pause=1, errors=OSError)
    assert declared(given).breaker.rule == BreakerRule(1, 3, 120.0, 5.0, 5.0)  # never less than the pause
    assert declared(given).breaker.errors == (OSError,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (0.5, "True, or a CircuitBreaker"),
        (CircuitBreaker(error_rate=50), "error_rate is a part of the attempts, more than 0 and at most 1, not 50"),
        (CircuitBreaker(error_rate=0), "error_rate"),
        (CircuitBreaker(least=0), "least is a number of attempts from 1, not 0"),
        (CircuitBreaker(within="soon"), "a duration such as"),
        (CircuitBreaker(pause=0), "pause is a time of more than 0, such as '30s', not 0"),
        (CircuitBreaker(errors=("OSError",)), "errors are classes of exceptions"),
        (CircuitBreaker(errors=()), "errors are classes of exceptions"),
    ],
)
def test_what_is_no_breaker_is_refused_where_it_is_declared(given, said):
    with pytest.raises(InvalidTask, match=said) as caught:
        declared(given)
    assert str(caught.value).startswith("task 'pay': circuit_breaker=")


def test_a_worker_refuses_it_on_a_broker_that_cannot_hold_back():
    app = Faena("app", broker="amqp://127.0.0.1:1", backend="memory://breaker", set_as_current=False)

    @app.task(name="pay", circuit_breaker=True)
    def pay():
        pass

    with pytest.raises(NotSupported, match="the circuit breaker of task 'pay'"):
        refuse_unless_limited(app)
