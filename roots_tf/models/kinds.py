"""What models of a kind can do, by what their folder says."""


def is_causal(described: dict) -> bool:
    """Whether the model of a folder continues texts; `described` as `folder.describe` gives it."""
    return described.get("kind") in ("causal_lm", "masked_and_causal_lm")


def fills_masks(described: dict) -> bool:
    """Whether the model of a folder fills in masked tokens; `described` as for `is_causal`."""
    return described.get("kind") in ("pretrainer", "masked_and_causal_lm")
