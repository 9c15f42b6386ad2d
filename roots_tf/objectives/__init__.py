"""What pretraining learns: an objective a file, and the one table of their names.

An objective is added by a file that follows `objective.Objective` and a row here. Importing this
room loads no TensorFlow.
"""

from roots_tf.objectives.causal_lm import CausalLM
from roots_tf.objectives.contrastive import Contrastive
from roots_tf.objectives.denoising import Denoising
from roots_tf.objectives.masked_and_causal import MaskedAndCausal
from roots_tf.objectives.masked_lm import MaskedLM
from roots_tf.objectives.objective import Objective, Proportion
from roots_tf.objectives.replaced_tokens import ReplacedTokens

OBJECTIVES = {
    objective.name: objective
    for objective in (
        *(MaskedLM, CausalLM, MaskedAndCausal, ReplacedTokens, Denoising),
        Contrastive,
    )
}

__all__ = [
    "OBJECTIVES",
    "CausalLM",
    "Contrastive",
    "Denoising",
    "MaskedAndCausal",
    "MaskedLM",
    "Objective",
    "Proportion",
    "ReplacedTokens",
]
