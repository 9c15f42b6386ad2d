"""How the next token is chosen: one frozen dataclass of what generation may be asked for."""

import dataclasses
from typing import Literal

from roots_tf import flags
from roots_tf.storage.files import InputError

# Settings that only one kind of decoding reads, by its name; elsewhere they must stand as they are.
_OF_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
_OF_BEAMS = ("num_beams", "length_penalty", "early_stopping")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `generate` is asked for; the fields are flags of programs and keys of requests.

    Raises:
        InputError: a setting that the decoding does not read was given, or two contradict.
    """

    decoding: Literal["sample", "greedy", "beam"] = flags.flag(
        "sample", help="draw each token, take the likeliest, or search with beams"
    )
    max_new_tokens: int = flags.flag(
        64, help="tokens after the prompt at most", minimum=1, maximum=1 << 20
    )
    min_new_tokens: int = flags.flag(
        0, help="tokens before which the text does not end", minimum=0, maximum=1 << 20
    )
    temperature: float = flags.flag(
        1.0, help="logits are divided by it before a draw", above=0, maximum=100
    )
    top_k: int = flags.flag(
        0, help="draw among the k likeliest; 0: among all", minimum=0, maximum=1 << 24
    )
    top_p: float = flags.flag(
        1.0,
        help="draw among the likeliest whose probabilities reach this sum (Holtzman et al. 2020)",
        above=0,
        maximum=1,
    )
    min_p: float = flags.flag(
        0.0,
        help="draw among those of at least this share of the highest probability",
        minimum=0,
        maximum=1,
    )
    typical_p: float = flags.flag(
        1.0,
        help="draw among those nearest to the expected information, up to this sum "
        "(Meister et al. 2023)",
        above=0,
        maximum=1,
    )
    repetition_penalty: float = flags.flag(
        1.0,
        help="divides positive logits of tokens that stand already, multiplies negative ones "
        "(Keskar et al. 2019)",
        above=0,
        maximum=100,
    )
    no_repeat_ngram: int = flags.flag(
        0, help="no run of so many tokens comes twice; 0: it may", minimum=0, maximum=1000
    )
    num_beams: int = flags.flag(4, help="beams of a row", minimum=1, maximum=1000)
    length_penalty: float = flags.flag(
        1.0,
        help="finished beams are ranked by log-probability / length to this power; below 0 short "
        "ones come first",
        minimum=-10,
        maximum=10,
    )
    early_stopping: bool = flags.flag(
        False, help="end when as many beams have ended as there are beams, without looking further"
    )
    stop: tuple[str, ...] = flags.flag((), help="texts at which to end; they are left out")

    def __post_init__(self):
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        unread = {"sample": _OF_BEAMS, "greedy": _OF_SAMPLING + _OF_BEAMS, "beam": _OF_SAMPLING}
        for name in unread.get(self.decoding, ()):
            if getattr(self, name) != defaults[name]:
                reader = "sample" if name in _OF_SAMPLING else "beam"
                raise InputError(
                    "flags-conflict",
                    f"found --{name}={getattr(self, name)} with --decoding={self.decoding}, which "
                    f"does not read it; leave it out, or give --decoding={reader}",
                )
        if self.min_new_tokens > self.max_new_tokens:
            raise InputError(
                "number-out-of-range",
                f"found --min_new_tokens={self.min_new_tokens} above "
                f"--max_new_tokens={self.max_new_tokens}; wanted at most as many",
            )


@dataclasses.dataclass(frozen=True)
class SearchFlags:
    """How an encoder-decoder looks for its answers; what is not given is as finetune was told."""

    num_beams: int | None = flags.flag(
        None,
        help="beams of an answer, of a model whose task is to write; 1: greedy; not given: as "
        "finetune was told",
        minimum=1,
        maximum=1000,
    )
    length_penalty: float | None = flags.flag(
        None,
        help="finished beams are ranked by log-probability / length to this power; not given: "
        "likewise",
        minimum=-10,
        maximum=10,
    )

    def settings(self, usual: Settings, max_new_tokens: int | None = None) -> Settings:
        """Settings of a search.

        Args:
            usual: of what is not given.
            max_new_tokens: of an answer at most; None: not given.

        Raises:
            InputError: a penalty is given where there is one beam.
        """
        is_beam = usual.decoding == "beam"
        beams = self.num_beams or (usual.num_beams if is_beam else 1)
        tokens = usual.max_new_tokens if max_new_tokens is None else max_new_tokens
        if beams > 1:
            penalty = usual.length_penalty if is_beam else Settings.length_penalty
            penalty = penalty if self.length_penalty is None else self.length_penalty
            return Settings("beam", tokens, num_beams=beams, length_penalty=penalty)
        if self.length_penalty is not None:
            raise InputError(
                "flags-conflict",
                f"found --length_penalty={self.length_penalty} and one beam, beside which there is "
                "nothing to rank; leave it out, or give --num_beams",
            )
        return Settings("greedy", tokens)

    def check_unused(self, name: str, max_new_tokens: int | None = None) -> None:
        """Refuses flags that say nothing to a model.

        Args:
            name: of its task, or its kind.
            max_new_tokens: as for `settings`.

        Raises:
            InputError: one is given.
        """
        given = dataclasses.asdict(self) | {"max_new_tokens": max_new_tokens}
        if found := [f"--{flag}={value}" for flag, value in given.items() if value is not None]:
            raise InputError(
                "flags-conflict",
                f"found {found[0]} and a model of {name}, which does not read it; leave it out",
            )
