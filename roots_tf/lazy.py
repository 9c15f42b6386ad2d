"""Packages whose submodules are imported when one of their names is first used.

`from roots_tf import models` then loads no TensorFlow; `models.Encoder` does (PEP 562).
"""

import importlib
from collections.abc import Callable, Mapping


def attributes(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package's `__init__`.

        __getattr__ = lazy.attributes(__name__, {"Encoder": "encoder", "save": "folder"})

    makes `models.Encoder` import `models/encoder.py` and return its `Encoder`; `models.encoder` is
    that module; `models.__all__` lists the names. No name may be that of a submodule: once
    imported, the submodule takes its place.

    Args:
        package: the package's `__name__`.
        places: for each public name the submodule that defines it.
    """
    submodules = frozenset(places.values())
    assert not submodules & set(places), f"names of {package} that are submodules too"

    def get(name: str):
        if name == "__all__":
            return sorted(places)
        if name not in places and name not in submodules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{places.get(name, name)}")
        return getattr(module, name) if name in places else module

    return get
