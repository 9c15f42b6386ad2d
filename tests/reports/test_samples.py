"""What the model said, read from the files for TensorBoard."""

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from roots_tf.reports import samples
from tests.pages.parsed import Page

MASKED = """\
    [CLS] the [MASK] looked at <b> [MASK] . [SEP]

      + captain           captain 0.412  sea 0.103  ship 0.054
        extraordinarily_long_piece the 0.200  . 0.100

    [CLS] other [SEP]

        x                 y 0.500
"""


def write(logs, step: int, name: str, text: str) -> None:
    writer = EventFileWriter(str(logs / "held_out"))
    scalar = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="x", simple_value=1.0)])
    for summary in (scalar, text_pb(name, text)):
        writer.add_event(event_pb2.Event(step=step, summary=summary))
    writer.close()


def test_the_last_evaluation_is_read_also_behind_a_cut(tmp_path):
    assert samples.read(tmp_path) == []
    for step, text in ((10, "before"), (20, MASKED)):
        write(tmp_path, step, "fill_mask", text)
    write(tmp_path, 10, "of another phase", "before")
    [path] = [p for p in tmp_path.glob("held_out/*") if b"captain" in p.read_bytes()]
    with path.open("ab") as file:
        file.write(b"\xff" * 20)  # as a kill leaves it
    assert samples.read(tmp_path) == [samples.Sample("fill_mask", 20, MASKED)]


def test_masks_are_marked_and_guesses_stand_in_a_table():
    page = Page(samples.shown(samples.Sample("fill_mask", 20, MASKED)))
    assert "captain 41 % sea 10 % ship 5 %" in page.text
    assert "✗extraordinarily_long_piecethe 20 % . 10 %" in page.text
    assert page.text.count("✓") == 1
    assert "looked at <b> [MASK]" in page.text
    shown = samples.shown(samples.Sample("fill_mask", 20, MASKED))
    assert (shown.count("<article>"), shown.count("<mark>")) == (2, 2)


def test_a_text_of_another_form_stays_as_it_is():
    assert "free <text> 0.5" in Page(samples.shown(samples.Sample("x", 1, "free <text> 0.5"))).text
