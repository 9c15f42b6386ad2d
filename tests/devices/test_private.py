"""What a report to strangers does not hold."""

import getpass
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.devices import private

SIMPLE = st.text() | st.integers() | st.none()
VALUES = st.recursive(SIMPLE, lambda x: st.lists(x) | st.dictionaries(st.text(), x))
KNOWN = {"/srv/my models": "<path>", "node-17": "<host>", "ada": "<user>"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open /home/ada/run/ckpt-1.index failed", "open <path> failed"),
        ("in '/srv/my models/a.npz': cut short", "in '<path>': cut short"),
        ("~/work/run and C:/Users/x/run", "<path> and <path>"),
        ("ada@node-17: node-17.", "<mail>: <host>."),
        ("to 10.0.0.7:2222 and fe80::1:2:3:4", "to <address> and <address>"),
        ("hf_token=abc password: xyz", "hf_token=<secret> password: <secret>"),
        ("https://user:pass@example.org/x?y=z no", "<url> no"),
        ("s3://bucket/key", "<url>"),
        ("GPU-5fe3c8a1-0b1c-4b6f-9d7e-0123456789ab", "<serial>"),
        ("key hf_0123456789abcdefghijklmnopqrstuvwxyz", "key <secret>"),
        # These stay: devices, versions, source lines, numbers.
        ("/job:localhost/replica:0/task:0/device:GPU:0", None),
        ("/dev/nvidia0 and /proc/driver/nvidia", None),
        ("tensorflow/core/kernels/matmul_op.cc:123, 2.21.0, 12.5.1, 1/2", None),
        ("Linux-6.1.0-x86_64-with-glibc2.36", None),
        ("adapter, canada", None),
    ],
)
def test_texts(text, expected):
    assert private.without(text, KNOWN.items()) == (text if expected is None else expected)


def test_names_of_this_machine(monkeypatch):
    monkeypatch.setenv("HOSTNAME", "cluster-node-3.example")
    known = private.names()
    text = f"{socket.gethostname()} {os.getcwd()} cluster-node-3.example"
    for word in (os.getcwd(), "cluster-node-3"):
        assert word not in private.without(text, known.items())
    assert known.get(getpass.getuser()) in ("<user>", None)


@given(VALUES)
def test_any_value_keeps_its_form_and_twice_is_once(value):
    once = private.all_without(value, KNOWN.items())
    assert type(once) is type(value)
    assert private.all_without(once, KNOWN.items()) == once
    hidden = {"a": [value, "/home/ada/x"]}
    assert "/home/ada" not in str(private.all_without(hidden, KNOWN.items())["a"][1])
