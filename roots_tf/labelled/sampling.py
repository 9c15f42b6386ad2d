"""Some examples of a labelled file."""

from collections.abc import Iterator, Sequence

import numpy as np


def take(examples, indices: Sequence[int]):
    """The examples of some indices, in their order.

    Args:
        examples: a named tuple of lists, or of lists by name, such as a `Table`; what is neither
            stays as it is, and so is an empty list.
        indices: of examples, from 0.
    """

    def chosen(part):
        if isinstance(part, dict):
            return {name: chosen(values) for name, values in part.items()}
        if not isinstance(part, list):
            return part
        return [part[i] for i in indices] if part else []  # its own: a kind may fill it

    return type(examples)(*map(chosen, examples))


def first(examples, count: int):
    """The first examples of a file; arguments as for `take`, but for their `count`."""
    return take(examples, range(min(count, count_of(examples))))


def parts(examples, size: int) -> Iterator:
    """All examples, `size` at a time, in order; `examples` as for `take`."""
    count = count_of(examples)
    return (take(examples, range(i, min(i + size, count))) for i in range(0, count, size))


def sample(examples, count: int, labels: Sequence[Sequence] = (), seed: int = 0):
    """Examples drawn from all of a file, with each of its labels, in the order of the file.

    >>> table = Table({"label": ["a", "a", "a", "b"]}, [1, 2, 3, 4], "sorted.tsv")
    >>> sample(table, 2, [("a",), ("a",), ("a",), ("b",)]).columns
    {'label': ['a', 'b']}

    Args:
        examples: as for `take`.
        count: how many; as many as there are labels where that is more.
        labels: of each example, the labels that it has; none: no example differs from another.
        seed: of the draw; one seed draws the same examples.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count_of(examples)).tolist()
    if len(order) <= count:
        return examples
    chosen, seen = [], set()
    for index in order if labels else ():
        if new := {*labels[index]} - seen:
            seen |= new
            chosen.append(index)
    there = {*chosen}
    chosen += [index for index in order if index not in there][: max(0, count - len(chosen))]
    return take(examples, sorted(chosen))


def count_of(examples) -> int:
    """Number of the `examples`, as `take` takes them."""
    lists = [list(part.values()) if isinstance(part, dict) else [part] for part in examples]
    return max(
        (len(part) for parts in lists for part in parts if isinstance(part, list)), default=0
    )
