"""What leaves of a kind of fine-tuning for other programs: servers, phones, libraries, readers."""

from typing import ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.tokenizers import Tokenizer


class TransformersHead(NamedTuple):
    """The head of Hugging Face's transformers that answers as the models of a kind do.

    Attributes:
        architecture: its class, of `modeling_bert.py`; "" where there is none.
        problem_types: values of `problem_type` in `config.json` that go with the kind, None where
            it is not given. The first one is written.
    """

    architecture: str = ""
    problem_types: tuple[str | None, ...] = (None, "single_label_classification")


class Leaving:
    """What a kind's models are to others.

    Class attributes:
        pipeline_tag: of the model card, one of huggingface.co/tasks.
        use: what the model does, for the card: "This model ..."; `{labels}` stands for "3 labels".
        transformers: what the model is called there.
    """

    pipeline_tag: ClassVar[str]
    use: ClassVar[str]
    transformers: ClassVar[TransformersHead] = TransformersHead()

    def served(self, model: keras.Model, tokenizer: Tokenizer):
        """The graph that is served, a `roots_tf.tasks.served_graph.ServedKind`.

        Args:
            model: as `make_model` gives it.
            tokenizer: the model's.
        """
        raise NotImplementedError

    def embedding_settings(self) -> models.EmbeddingSettings | None:
        """How vectors of texts are made that this kind trains; None of one that trains none."""
        return None

    def text_settings(self) -> dict:
        """What whoever cuts texts into tokens must know beside the tokenizer, as JSON values."""
        return {}

    def row_output(self, output, features) -> dict[str, tf.Tensor]:
        """The one output, by name, of a file of rows: LiteRT's and ONNX's.

        Args:
            output: what the model gives for rows.
            features: of the rows.
        """
        return {"logits": output}

    def of_row_output(self, output: tf.Tensor) -> tf.Tensor:
        """What the model gives for rows, of what `row_output` made of it.

        Args:
            output: the value that `row_output` gives by name.
        """
        return output

    def scaled_head(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the last layer for a program that takes its outputs as answers.

        Args:
            kernel: float32 [H, outputs].
            bias: float32 [outputs].
        """
        return kernel, bias
