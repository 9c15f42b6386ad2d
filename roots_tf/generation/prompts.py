"""Prompts that a model can continue, checked before anything runs."""

from collections.abc import Sequence

from roots_tf.storage.files import InputError


def check_room(length: int, window: int, name: str = "a prompt") -> None:
    """Refuses a prompt after which not one token has room.

    Generation never slides: it stops where prompt and new tokens fill the window.

    Args:
        length: tokens of the prompt, begin of text among them.
        window: tokens that the model takes: `max_sequence_length` of its config.
        name: of the prompt, for the message.

    Raises:
        InputError: the prompt is empty or leaves no room.
    """
    if length < 1:
        raise InputError(
            "empty-text", f"found {name} without tokens; wanted one at least, such as begin of text"
        )
    if length >= window:
        raise InputError(
            "too-long",
            f"found {name} of {length:,} tokens; wanted at most {window - 1:,}: the model's window "
            f"is {window:,} and a new token needs room; shorten it",
        )


def check_prompts(prompts: Sequence[Sequence[int]], window: int, num_tokens: int) -> None:
    """Refuses prompts that are empty, too long, or hold what is no token.

    Args:
        prompts: ids of each.
        window: as for `check_room`.
        num_tokens: ids of the tokenizer.

    Raises:
        InputError: names the first prompt that cannot be continued.
    """
    for number, ids in enumerate(prompts, 1):
        check_room(len(ids), window, f"prompt {number}")
        for token_id in ids:
            if not 0 <= token_id < num_tokens:
                raise InputError(
                    "number-out-of-range",
                    f"found id {token_id} in prompt {number}; wanted ids from 0 to "
                    f"{num_tokens - 1}",
                )
