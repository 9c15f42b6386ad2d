"""What is learned from a teacher without a task: which texts are alike."""

import dataclasses

import tensorflow as tf

from roots_tf import models
from roots_tf.labelled import tables
from roots_tf.tasks.per_text import PerText


@dataclasses.dataclass(frozen=True)
class Texts(PerText):
    """Cosines between the vectors of texts, which need no labels; a kind of distillation alone.

    The answer to a text is a row of cosines: those with all texts of the global batch. So the sums
    over a batch are more than the sums over its slices. Over replicas they do add up, as each
    replica gathers the vectors of all.

    Attributes:
        embedding: how the teacher makes its vectors, and so the student.
    """

    embedding: models.EmbeddingSettings = models.EmbeddingSettings()

    name = "texts"
    scalars = ()
    additive = False

    @classmethod
    def of(cls, described: dict, folder: str) -> "Texts":
        """The kind whose vectors are those of a teacher.

        Args:
            described: what `models.describe` gives for it.
            folder: of the teacher, for messages.

        Raises:
            InputError: what the folder says of vectors is wrong.
        """
        settings = models.embedding_settings(described, folder)
        length = settings.length(described["encoder"].max_sequence_length)
        return cls(max_seq_length=length, embedding=settings)

    def targets(self, examples):
        """Nothing: labels that a file may have are not looked at."""
        return {}

    def make_model(self, config, seed=0, precision="float32", recompute=False):
        """An encoder with random weights, without a pooler that no part would train.

        Arguments as for `models.PooledEncoder`.
        """
        pooler = self.embedding.pooling == "pooler"
        return models.PooledEncoder(config, pooler, seed, precision, recompute)

    def load_model(self, folder, precision="float32"):
        """The encoder of a model folder, without its heads; arguments as for `models.load`."""
        model = self.make_model(models.describe(folder)["encoder"], precision=precision)
        models.load_encoder(folder, model)
        return model

    def rows(self, examples, tokenizer, labelled=True):
        """Rows of the texts, each after the prompt that the teacher's folder says."""
        if self.embedding.prompt:
            texts = tables.strings(examples, "text")
            columns = examples.columns | {"text": [self.embedding.prompt + text for text in texts]}
            examples = examples._replace(columns=columns)
        return super().rows(examples, tokenizer, labelled)

    def description(self):
        """No task, as the student is an encoder; how vectors are made, where the teacher says."""
        if self.embedding == models.EmbeddingSettings():
            return {}
        return {"embedding": dataclasses.asdict(self.embedding)}

    def answers(self, output, batch):
        """Cosines of the replica's texts with all texts, [B, texts of all replicas]."""
        vectors = models.pool(output, batch["padding_mask"], self.embedding.pooling)
        vectors = tf.math.l2_normalize(vectors, -1)  # [B, H]
        context = _several_replicas()
        everyone = vectors if context is None else context.all_gather(vectors, axis=0)
        return tf.matmul(vectors, everyone, transpose_b=True)

    def answer_weights(self, batch):
        """1 of two texts, 0 of a text with itself."""
        count, context = tf.shape(batch["padding_mask"])[0], _several_replicas()
        if context is None:
            return 1.0 - tf.eye(count)
        own = context.replica_id_in_sync_group * count + tf.range(count)
        return 1.0 - tf.one_hot(own, count * context.num_replicas_in_sync)


def _several_replicas() -> tf.distribute.ReplicaContext | None:
    """The replica that this code runs in; None where it is the only one."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None
