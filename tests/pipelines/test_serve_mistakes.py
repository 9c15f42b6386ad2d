"""`serve`: mistakes are named before a model is loaded."""

import pytest

from pipelines import serve
from roots_tf.flags import FlagError
from roots_tf.storage.files import InputError


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"model": "nowhere"}, "found no version of a model in nowhere"),
        ({"max_batch_size": 0}, "found --max_batch_size=0; wanted a number from 1"),
        ({"max_queue": -1}, "found --max_queue=-1; wanted a number from 1"),
        ({"max_body_bytes": 0}, "found --max_body_bytes=0; wanted a number from 1"),
        ({"max_text_bytes": 0}, "found --max_text_bytes=0; wanted a number from 1"),
        ({"batch_timeout_ms": -1.0}, "found --batch_timeout_ms=-1.0; wanted a number from 0"),
        (
            {"batch_timeout_ms": float("nan")},
            "found --batch_timeout_ms=nan; wanted a number from 0",
        ),
        ({"max_answer_bytes": 0}, "found --max_answer_bytes=0; wanted a number from 1"),
        ({"max_connections": 0}, "found --max_connections=0; wanted a number from 1"),
        ({"idle_seconds": 0.0}, "found --idle_seconds=0.0; wanted a number from 0.1"),
        ({"max_memory_bytes": 10**6}, "found --max_memory_bytes=1000000; wanted 159383552 or more"),
        ({"port": 65_536}, "found --port=65536; wanted a number from 0 to 65535"),
        (
            {"host": "no.such.host.invalid", "model": "."},
            "could not listen at no.such.host.invalid",
        ),
        ({"host": "192.0.2.1", "model": "."}, "could not listen at 192.0.2.1"),
    ],
)
def test_mistakes_are_named(flags, message):
    with pytest.raises((InputError, FlagError), match=message):
        serve.main(serve.Config(**{"model": "nowhere", "port": 0} | flags))
