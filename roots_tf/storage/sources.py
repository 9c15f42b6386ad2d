"""Named sources of a mixture: `zh=work/zh,en=work/en`, and what share each of them has."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from roots_tf import flags
from roots_tf.storage import files, paths, urls

LEAST_SHARE = 1e-8  # of a source; less would hardly ever be read
_NAME = r"\w[\w.-]*"


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Flags that say how much each source of a mixture gives.

    Shares follow from the sizes n by p ∝ n^alpha, as in XLM (arXiv:1901.07291, 3.1): 1 leaves the
    sources as they are, 0 makes them equal; or they are given as weights.
    """

    mixture_alpha: float | None = flags.flag(
        None,
        help="of named sources: shares go by (its tokens)^alpha; 1, as where nothing is given: as "
        "they are; 0: all equal; multilingual BERT 0.7, XLM-R 0.3",
        minimum=0,
        maximum=1,
    )
    mixture_weights: tuple[str, ...] = flags.flag(
        (), help="of named sources: shares instead of --mixture_alpha, such as zh=2,en=1,de=1"
    )

    def check(self, names: Sequence[str]) -> None:
        """Refuses flags that do not go together, or with these sources.

        Args:
            names: of the sources; none where there is no mixture.

        Raises:
            InputError: there are no names, both flags are given, or a weight is of no source, is
                missing, or is no number above 0.
        """
        given = [f"--{name}" for name, value in vars(self).items() if value not in (None, ())]
        if given and not names:
            raise files.InputError(
                "flags-conflict",
                f"found {given[0]} without named sources; wanted it left out, or the sources of a "
                "mixture, such as zh=FOLDER,en=FOLDER",
            )
        if len(given) > 1:
            raise files.InputError(
                "flags-conflict", f"found {' and '.join(given)}; wanted one or the other"
            )
        if given and self.mixture_weights:
            self.weights(names)

    def shares(self, sizes: Mapping[str, float]) -> dict[str, float]:
        """The share of each source; they add up to 1.

        >>> Mixing(mixture_alpha=0.5).shares({"en": 900, "zh": 100})
        {'en': 0.75, 'zh': 0.25}
        >>> Mixing(mixture_weights=("zh=3", "en=1")).shares({"en": 900, "zh": 100})
        {'en': 0.25, 'zh': 0.75}

        Args:
            sizes: of each source, in whatever the shares are to be of, such as tokens.

        Raises:
            InputError: as `check`; a source is empty, or its share is below `LEAST_SHARE`.
        """
        self.check(list(sizes))
        if empty := [name for name, size in sizes.items() if size <= 0]:
            raise files.InputError(
                "wrong-mixture",
                f"found nothing in the source {empty[0]}; wanted text in each of "
                f"{', '.join(sizes)}",
            )
        alpha = 1.0 if self.mixture_alpha is None else self.mixture_alpha
        parts = {name: size**alpha for name, size in sizes.items()}
        if self.mixture_weights:
            parts = self.weights(list(sizes))
        shares = {name: parts[name] / sum(parts.values()) for name in sizes}
        if small := [name for name, share in shares.items() if share < LEAST_SHARE]:
            raise files.InputError(
                "wrong-mixture",
                f"found a share of {shares[small[0]]:.2g} for {small[0]}; wanted {LEAST_SHARE:g} "
                "or more: give it more weight, or leave the source out",
            )
        return shares

    def weights(self, names: Sequence[str]) -> dict[str, float]:
        """The weights as numbers, by name; {} where none are given.

        Args:
            names: of the sources; errors as for `check`.
        """
        weights: dict[str, float] = {}
        for text in self.mixture_weights:
            name, _, value = (part.strip() for part in text.partition("="))
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
            if name in weights or not 0 < weight <= flags.WEIGHT["maximum"]:
                raise files.InputError(
                    "wrong-mixture",
                    f"found {text!r} in --mixture_weights; wanted name=weight, each name once and "
                    f"each weight a number above 0 to {flags.WEIGHT['maximum']:g}",
                )
            weights[name] = weight
        if weights and set(weights) != set(names):
            raise files.InputError(
                "wrong-mixture",
                f"found --mixture_weights of {', '.join(sorted(weights))} for sources "
                f"{', '.join(sorted(names))}; wanted a weight for each of them and no other",
            )
        return weights


def split(texts: str | Sequence[str]) -> dict[str, str]:
    """Paths by name, in the order of the names, of `name=path,name=path`; {} of plain paths.

    >>> split("zh=work/zh,en=work/en")
    {'en': 'work/en', 'zh': 'work/zh'}
    >>> split("work/zh")
    {}

    A text that names something that is there is a plain path, whatever it holds. A path may hold
    `=`, and commas as `paths.split_list` says.

    Args:
        texts: such a text, or its parts.

    Raises:
        InputError: a name or a path is empty, a name comes twice, only some paths have one, or
            there is one source only.
    """
    try:
        parts = paths.named(texts) if isinstance(texts, str) else tuple(texts)
    except ValueError as error:
        raise files.InputError("wrong-value", f"found {error}") from error
    if not any(_is_named(part) for part in parts):
        return {}
    found: dict[str, str] = {}
    for part in parts:
        name, equals, path = (piece.strip() for piece in part.partition("="))
        if not equals or not path or not re.fullmatch(_NAME, name):
            raise files.InputError(
                "wrong-mixture",
                f"found {part!r} among named sources; wanted name=path for each, the name of "
                "letters, digits, '.', '-' and '_'",
            )
        if name in found:
            raise files.InputError(
                "wrong-mixture",
                f"found the source {name} twice; wanted each name once, for one folder or pattern",
            )
        found[name] = path
    if len(found) < 2:
        raise files.InputError(
            "wrong-mixture",
            f"found one source, {parts[0]}; wanted two or more for a mixture, or "
            f"{found[name]} without a name",
        )
    return dict(sorted(found.items()))


def _is_named(text: str) -> bool:
    """Whether a text is `name=path` and not a path that is there."""
    name, equals, _ = text.partition("=")
    return bool(equals) and "/" not in name and not paths.is_there(text)


def url_in(text: str) -> str:
    """The URL of `name=URL`; "" of another text.

    >>> url_in("zh=s3://corpus/zh"), url_in("s3://corpus/zh"), url_in("zh=work/zh")
    ('s3://corpus/zh', '', '')
    """
    name, _, path = (part.strip() for part in text.partition("="))
    return path if re.fullmatch(_NAME, name) and urls.is_url(path) else ""


def expand(named: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """The files of each source, with absolute paths.

    Args:
        named: paths or patterns by name, from `split`; "" may name all of an input without names.

    Raises:
        InputError: as `files.expand`; or a file is in two sources.
    """
    expanded = {name: files.expand_from_root(path) for name, path in named.items()}
    owner: dict[str, str] = {}
    for name, listed in expanded.items():
        for path in paths.real_names(listed):
            if path in owner:
                raise files.InputError(
                    "wrong-mixture",
                    f"found {path} in the sources {owner[path]} and {name}; wanted it in one",
                )
            owner[path] = name
    return expanded
