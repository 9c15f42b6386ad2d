import importlib
import subprocess
import sys

import pytest

INIT = """
from roots_tf import lazy
__getattr__ = lazy.attributes(__name__, {"Shape": "shapes", "area": "shapes"})
"""
SHAPES = "class Shape:\n    pass\ndef area():\n    return 4\n"
USE = """
import sys
import drawing
assert "drawing.shapes" not in sys.modules
assert not hasattr(drawing, "colour")
assert drawing.area() == 4
from drawing import Shape, shapes
assert drawing.shapes is shapes and shapes.Shape is Shape
"""


def test_a_submodule_is_imported_when_its_name_is_used(tmp_path):
    (tmp_path / "drawing").mkdir()
    (tmp_path / "drawing" / "__init__.py").write_text(INIT)
    (tmp_path / "drawing" / "shapes.py").write_text(SHAPES)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{USE}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("room", ["examples", "labelled", "models", "tasks", "training"])
def test_every_name_of_a_room_is_there(room):
    package = importlib.import_module(f"roots_tf.{room}")
    for name in package.__all__:
        value = getattr(package, name)
        assert getattr(value, "__name__", name) == name
    with pytest.raises(AttributeError, match=f"'roots_tf.{room}' has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018
