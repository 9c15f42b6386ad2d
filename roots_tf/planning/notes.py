"""What there is to know about a forecast, in sentences."""

from roots_tf.planning import proposal
from roots_tf.planning.amounts import spell
from roots_tf.planning.forecast import Work
from roots_tf.planning.proposal import Proposal
from roots_tf.planning.settling import AUTO, Question

SHORT = 0.02  # seconds of a step on an accelerator
KNOWN_FROM = 1e17  # FLOPs, of the least of the runs that the laws were found from


def notes(question: Question, chosen: Proposal, work: Work) -> list[str]:
    """Where what was proposed is from, and what it stands on.

    Args:
        question: what was given.
        chosen: what is run.
        work: of it.
    """
    found, causal = [], proposal.law_of(question.objective.name) == "causal_lm"
    if question.budget.seconds(question.place) is not None:
        found += _of_proposal(question, chosen, work, causal)
    if question.budget.memory and (chosen.accumulate_steps > 1 or chosen.recompute):
        how = [f"--accumulate_steps={chosen.accumulate_steps}"] * (chosen.accumulate_steps > 1)
        how += ["--recompute"] * chosen.recompute
        found.append(f"To fit into {question.budget.memory:.3g} bytes: {' and '.join(how)}.")
    if work.epochs is not None and causal and work.epochs > proposal.GOOD_EPOCHS:
        found.append(
            f"The text is read {work.epochs:.1f} times: up to {proposal.GOOD_EPOCHS} are nearly as "
            "good as new text, later ones count for less and less (Muennighoff et al. 2023)."
        )
    elif work.epochs is not None and not causal and work.epochs > 1:
        found.append(
            f"The text is read {work.epochs:.1f} times, with other masks each time. Masked models "
            "bear that longer than causal ones (Prabhudesai et al. 2025): 64 times did little harm "
            "to T5 and 1,024 much (Raffel et al. 2020, table 9). Watch the held-out loss."
        )
    place = question.place
    if place and not place.threads and place.speed(work).seconds < SHORT:
        found.append(
            f"A step of {1000 * place.speed(work).seconds:.1g} ms is too short for the share of "
            "the peak that is assumed: starting kernels takes longer. A larger --batch_size helps."
        )
    return found


def _of_proposal(question: Question, chosen: Proposal, work: Work, causal: bool) -> list[str]:
    """Sentences about size, duration, batch and rate."""
    found = []
    ratio = work.tokens / work.parameters
    wanted = proposal.TOKENS_A_WEIGHT["causal_lm" if causal else "masked_lm"]
    if question.model.size == AUTO:
        source = "Hoffmann et al. 2022" if causal else "Hoffmann et al. 2022 and Ni et al. 2025"
        found.append(
            f"--size={chosen.size}: {ratio:,.3g} tokens a weight, where about {wanted:.0f} spend "
            f"FLOPs best ({source}); of the sizes that fit, that of the lowest loss by this law."
        )
    if question.optimization.learning_rate < 0 or not question.optimization.batch_size:
        found.append("Batch and learning rate: DeepSeek-AI 2024, as far as they are proposed.")
    if work.flops < KNOWN_FROM:
        found.append(
            f"These laws were found from {KNOWN_FROM:.0e} FLOPs on; this run has "
            f"{spell(work.flops)}: they are stretched."
        )
    return found
