"""Beats among the lines of stderr."""

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from roots_tf import heartbeat


def test_a_beat_is_taken_out_of_the_line_it_stands_in():
    found = heartbeat.split(b'step 1\x1e{"step": 1}\x1e\n0\n')
    assert found == (b"step 10\n", [{"step": 1}])


@given(st.lists(st.sampled_from([b"a", b"\n", b'\x1e{"x": 1}\x1e\n', b"\x1e", b"\x1e\n"])))
def test_text_comes_through_however_it_is_cut(parts):
    """Bytes that are no beat stay, and a beat that is cut waits for its end."""
    content = b"".join(parts)
    whole, beats = heartbeat.split(content)
    assert all(beat == {"x": 1} for beat in beats)
    rest, text, found = b"", b"", []
    for index in range(len(content)):
        part, some = heartbeat.split(rest + content[index : index + 1])
        *lines, rest = part.split(b"\n")
        text += b"".join(line + b"\n" for line in lines)
        found += some
    if b"\x1e" not in whole:
        assert (text + rest, found) == (whole, beats)


def test_what_is_no_object_of_numbers_is_no_beat():
    for text in (b"{", b"[1]", b'{"a": "b"}', b'{"a": true}', b"nan"):
        assert heartbeat.split(b"\x1e" + text + b"\x1e\n") == (b"", [])


def test_only_a_program_that_was_launched_tells():
    code = "from roots_tf import heartbeat as h; h.begin(); h.saved(); h.tell(step=3); h.saved()"
    code += "; import os; print(h.VARIABLE in os.environ)"
    for given_variables, beats in (({}, []), ({heartbeat.VARIABLE: "1"}, [{"saves": 1}])):
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | given_variables, capture_output=True
        )
        assert done.stdout == b"False\n"
        assert heartbeat.split(done.stderr) == (b"", beats)  # the others are too soon after it
