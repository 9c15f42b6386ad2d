"""What only some kinds of fine-tuning take from flags, from the dev file and from the start.

The others refuse the flag in a line.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from roots_tf.storage.files import InputError


class OfFlags:
    """A kind of task, as flags, the dev file and the model that it starts from change it.

    Attributes:
        name: of the kind.
    """

    name: ClassVar[str]

    def with_balance(self, examples) -> Self:
        """This kind with weights of classes that make each count alike over the examples.

        Raises:
            InputError: the kind has no such weights.
        """
        raise self._only("--balance", "classification")

    def with_soft_labels(self) -> Self:
        """This kind, which learns from probabilities of labels.

        Raises:
            InputError: the kind learns from answers alone.
        """
        raise self._only("--soft_labels", "classification")

    def with_metric_language(self, language: str) -> Self:
        """This kind, whose answers are compared in a language when they are scored.

        Args:
            language: one of `roots_tf.metrics.answer_words.Language`.

        Raises:
            InputError: the kind has no answers that depend on one.
        """
        kinds = "question_answering or sequence_to_sequence"
        raise self._only(f"--metric_language={language}", kinds)

    def with_characters(self) -> Self:
        """This kind, which parts the words of scripts without spaces into characters.

        Raises:
            InputError: the kind has no answers by word.
        """
        raise self._only("--word_unit=characters", "tagging")

    def with_template(self, path: str | Path) -> Self:
        """This kind with the text around what it reads.

        Args:
            path: of a JSON file, or the template itself, as `TaskFlags.template_is_text` says.

        Raises:
            InputError: the kind has no template, or it is none.
        """
        raise self._only(f"--template={path}", "completion or cloze")

    def with_verbalizer(self, verbalizer: Sequence[str]) -> Self:
        """This kind with words of its labels.

        Args:
            verbalizer: `label=word|word` of each label.

        Raises:
            InputError: the kind tells labels by no words, or the verbalizer is none.
        """
        raise self._only("--verbalizer", "cloze")

    def with_demonstrations(self, examples, num_shots: int, seed: int) -> Self:
        """This kind with labelled examples that stand before each text.

        Args:
            examples: of the training file.
            num_shots: how many.
            seed: of the draw; one seed draws the same examples.

        Raises:
            InputError: the kind has no place for them, or the file has too few of a label.
        """
        raise self._only(f"--num_shots={num_shots}", "cloze of a causal_lm")

    def with_priors(self, model, tokenizer) -> Self:
        """This kind with what a model says of its labels without a text.

        Args:
            model: as the kind makes it, with the weights that training starts from.
            tokenizer: its own.

        Raises:
            InputError: the kind has no template.
        """
        raise self._only("--calibrate", "cloze")

    def check_ensemble(self, others: Sequence["OfFlags"]) -> None:
        """Refuses models whose answers cannot be averaged with those of this kind.

        Args:
            others: kinds of the models.

        Raises:
            InputError: the kind has no probabilities of labels, or others have other labels.
        """
        raise self._only("--ensemble", "classification or cloze")

    def with_targets(self, flags, batch_size: int = 32) -> Self:
        """This kind with what the flags of targets say.

        Args:
            flags: `roots_tf.tasks.target_flags.TargetFlags`.
            batch_size: pairs of a batch, where tokens are not counted.

        Raises:
            InputError: the kind has no targets.
        """
        raise self._only(_given(flags) or "flags of targets", "sequence_to_sequence")

    def with_contrast(self, flags) -> Self:
        """This kind with what the flags of comparing vectors say.

        Args:
            flags: `roots_tf.tasks.contrast_flags.ContrastFlags`.

        Raises:
            InputError: the kind compares no vectors, or a flag has no such value.
        """
        raise self._only(_given(flags), "contrastive")

    def scored_on(self, examples) -> Self:
        """This kind, where the dev file decides which score does.

        Args:
            examples: of the dev file.

        Raises:
            InputError: the file has nothing to score.
        """
        return self

    def check_model(self, config) -> None:
        """Refuses a model that cannot learn the task.

        Args:
            config: of the encoder, an `EncoderConfig`.

        Raises:
            InputError: it cannot.
        """

    def _only(self, flag: str, kind: str) -> InputError:
        """A flag is given that another kind of task has."""
        wanted = f"wanted it with {kind} alone"
        return InputError("flags-conflict", f"found {flag} with --task={self.name}; {wanted}")


def _given(flags) -> str:
    """The flags of a group that are not as usual, as they are given."""
    usual = dataclasses.asdict(type(flags)())
    given = {n: v for n, v in dataclasses.asdict(flags).items() if v != usual[n]}
    shown = {n: ",".join(v) if isinstance(v, tuple) else v for n, v in given.items()}
    return ", ".join(f"--{name}={value}" for name, value in shown.items())
