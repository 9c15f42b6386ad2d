"""Knowledge distillation: a small model, the student, learns to be like a large one, the teacher.

The loss has parts, each with a weight of its own (`Parts`):

    soft        answers, softened by a temperature            Hinton et al. 2015, arXiv:1503.02531
    hard        the task's own loss, on labels                the same
    hidden      output of each student block and of its       TinyBERT: Jiao et al. 2020,
                teacher block, squared error                    arXiv:1909.10351, section 3.1
    embedding   output of the embedding layers, likewise      the same
    attention   scores of attention before the softmax        the same
    cosine      direction of the last hidden states           DistilBERT: Sanh et al. 2019,
                                                                arXiv:1910.01108, section 3

Where the student is narrower than the teacher, a learned matrix projects its hidden states to the
teacher's width, and another one its embeddings (TinyBERT, section 3.1). They are no part of the
student and are thrown away.

Student block m of M learns from teacher block m * N / M of N, counted from 1 (TinyBERT's uniform
mapping), and starts as a copy of that block where the sizes are the same (DistilBERT, section 3).
"""

import dataclasses
import re

import keras
import tensorflow as tf

from roots_tf import models
from roots_tf.losses import Scalar, names_of_losses
from roots_tf.models import EncoderConfig, layers
from roots_tf.seeds import Place
from roots_tf.storage.files import InputError
from roots_tf.tasks.finetuning import FineTuning


@dataclasses.dataclass(frozen=True)
class Parts:
    """Weights of the parts of the loss; 0 leaves a part out.

    Raises:
        InputError: a weight is below 0, or all are 0.
    """

    soft: float = 1.0
    hard: float = 0.0
    hidden: float = 1.0
    embedding: float = 0.0
    attention: float = 0.0
    cosine: float = 0.0

    def __post_init__(self):
        weights = dataclasses.asdict(self)
        if min(weights.values()) < 0 or not any(weights.values()):
            found = ", ".join(f"{name}_weight={weight:g}" for name, weight in weights.items())
            raise InputError(
                "number-out-of-range", f"found {found}; wanted no weight below 0 and one above"
            )


def divergence(student: tf.Tensor, teacher: tf.Tensor, temperature: float) -> tf.Tensor:
    """How far the student's softened answers are from the teacher's: [..., C] -> [...].

    T^2 KL(softmax(teacher / T) || softmax(student / T)), in nats. It has the gradient of the cross
    entropy of Hinton et al. (section 2), and is 0 where both agree; T^2 makes up for gradients that
    shrink by as much.

    Args:
        student: logits, float32 [..., C].
        teacher: likewise.
        temperature: T; the higher, the more the unlikely classes count.
    """
    target = tf.nn.log_softmax(teacher / temperature)
    own = tf.nn.log_softmax(student / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(target) * (target - own), -1)


def mean_squared_error(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean over the last axis (TinyBERT, section 3.1): of [R, H] each, float32 [R].

    Args:
        student: hidden states.
        teacher: likewise.
    """
    return tf.reduce_mean(_squared_difference(student, teacher), -1)


def cosine_distance(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """1 - cosine of each row (DistilBERT, section 3): of [R, H] each, float32 [R], from 0 to 2.

    Args:
        student: hidden states.
        teacher: likewise.
    """
    student, teacher = (tf.cast(x, tf.float32) for x in (student, teacher))
    unit = tf.nn.l2_normalize(student, -1) * tf.nn.l2_normalize(teacher, -1)
    return 1.0 - tf.reduce_sum(unit, -1)


def attention_error(student: tf.Tensor, teacher: tf.Tensor, seen: tf.Tensor) -> tf.Tensor:
    """Mean squared error of the scores that a query gives to keys: [B, N, L, L] -> [B, L].

    Over heads, and over the keys that the query sees: TinyBERT's mean is over padding too.

    Args:
        student: scores before the softmax, [B, N, L, L].
        teacher: likewise.
        seen: bool [B, 1, 1 or L, L], whether a query may see a key.
    """
    squares = tf.reduce_mean(_squared_difference(student, teacher), 1)  # [B, L, L]
    seen = tf.cast(seen[:, 0], tf.float32)  # [B, 1 or L, L]
    return tf.reduce_sum(squares * seen, -1) / tf.maximum(tf.reduce_sum(seen, -1), 1.0)


def _squared_difference(x, y) -> tf.Tensor:
    """Square of x - y, in float32 whatever the models compute in."""
    return tf.math.squared_difference(tf.cast(x, tf.float32), tf.cast(y, tf.float32))


def layer_map(student: int, teacher: int) -> tuple[int, ...]:
    """The teacher block, counted from 0, that each student block learns from.

    >>> layer_map(student=3, teacher=6)
    (1, 3, 5)

    Args:
        student: number of blocks.
        teacher: likewise.

    Raises:
        InputError: the student's number does not divide the teacher's.
    """
    if teacher % student:
        divisors = [str(n) for n in range(1, teacher + 1) if teacher % n == 0]
        raise InputError(
            "wrong-sizes",
            f"found a student of {student} layers for a teacher of {teacher}; wanted a number that "
            f"divides the teacher's: {', '.join(divisors)}",
        )
    step = teacher // student
    return tuple(range(step - 1, teacher, step))


def is_cut(student: EncoderConfig, teacher: EncoderConfig) -> bool:
    """Whether two models differ in their number of layers, and in dropout, at most.

    Args:
        student: its sizes.
        teacher: likewise.
    """
    same = {"num_layers": teacher.num_layers, "dropout": teacher.dropout}
    return dataclasses.replace(student, **same) == teacher


def copy_weights(teacher: keras.Model, student: keras.Model) -> None:
    """Copies to the student the teacher's blocks of `layer_map`, its embeddings and its head.

    Args:
        teacher: a model of `roots_tf.models`.
        student: one of the same kind, of sizes that `is_cut` is true for.

    Raises:
        InputError: the student's number of layers does not divide the teacher's.
    """
    blocks = layer_map(student.config.num_layers, teacher.config.num_layers)
    weights = models.named_weights(teacher)
    for name, variable in models.named_weights(student).items():
        source = re.sub(r"(?<=^encoder/layer_)\d+", lambda match: str(blocks[int(match[0])]), name)
        variable.assign(weights[source].value)


class Watched:
    """A model that keeps what its layers compute when it is called.

    Attributes:
        hidden: after a call: [B*L, H] of the embedding layer and of each block, in order; the last
            one normalised as the model has it.
        output: after a call: what the model gives.

    Args:
        model: of `roots_tf.models`, with a `head`.
        learns: whether gradients reach its weights.
        scored: whether attention scores are kept too.
    """

    def __init__(self, model: keras.Model, learns: bool, scored: bool = False):
        self.model, self._scored = model, scored
        self._end = tf.identity if learns else tf.stop_gradient

    def __call__(self, features, seed=None):
        """`features` and `seed` as for `Encoder.call`; gives what the model's head does."""
        model, width = self.model, self.model.config.hidden_dim
        self._states = list(model.encoder.walk(features, seed, watched=self._scored))
        hidden = [state.hidden_states for state in self._states]
        self.hidden = [self._end(tf.reshape(x, [-1, width])) for x in hidden]
        self.output = tf.nest.map_structure(self._end, model.head(hidden[-1], seed))
        return self.output

    def scores(self, layer: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Scaled products of queries and keys in block `layer`, from 0, and which keys are seen.

        Returns:
            float32 [B, N, L, L] and bool [B, 1, 1 or L, L].
        """
        state = self._states[layer + 1]
        return self._end(state.scores), state.seen


class Student(keras.Model):
    """The student and, where it is narrower than the teacher, its two projections.

    Args:
        student: a model of `roots_tf.models`.
        width: hidden size of the teacher.
        seed: of the projections' initial weights.
    """

    def __init__(self, student: keras.Model, width: int, seed: int = 0):
        super().__init__(name="student")
        self.student = student
        own = student.config.hidden_dim
        self.hidden_projection = self.embedding_projection = None
        if own != width:
            self.hidden_projection, self.embedding_projection = (
                layers.Dense(own, width, bias=False, place=Place(seed, name), scale=own**-0.5)
                for name in ("hidden_projection", "embedding_projection")
            )
        self.built = True


class Distillation:
    """The loss of a student beside its teacher; a `roots_tf.training.step.Task`.

    Args:
        kind: of task that both models are for, or `Texts`.
        teacher: its weights stay as they are; it runs without dropout.
        student: a model as `kind.make_model` gives it.
        parts: weights of the parts.
        temperature: of the soft part, where answers are classes; DistilBERT's code has 2.
        seed: of the projections' initial weights.

    Raises:
        InputError: the parts do not go with the kind or with the sizes of the models.
    """

    def __init__(
        self,
        kind: FineTuning,
        teacher: keras.Model,
        student: keras.Model,
        parts: Parts,
        temperature: float = 2.0,
        seed: int = 0,
    ):
        own, other = student.config, teacher.config
        if temperature <= 0:
            raise InputError(
                "number-out-of-range", f"found temperature={temperature:g}; wanted one above 0"
            )
        if parts.hard and not kind.scalars:
            raise InputError(
                "flags-conflict",
                f"found hard_weight={parts.hard:g} and a teacher without a task, which no labels "
                "are for; wanted hard_weight=0, or a teacher that finetune wrote",
            )
        if parts.attention and own.num_heads != other.num_heads:
            raise InputError(
                "wrong-sizes",
                f"found {own.num_heads} heads for a teacher of {other.num_heads}; wanted as many, "
                "or attention_weight=0",
            )
        self.kind, self.teacher, self.parts, self.temperature = kind, teacher, parts, temperature
        self.model = Student(student, other.hidden_dim, seed)
        by_layer = parts.hidden or parts.attention
        self.layers = layer_map(own.num_layers, other.num_layers) if by_layer else ()
        self.additive = kind.additive or not (parts.soft or parts.hard)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """Losses and scores that `sums` gives."""
        names = [name for name, weight in dataclasses.asdict(self.parts).items() if weight]
        losses = (Scalar(f"{name}_loss", "loss", is_loss=True) for name in names if name != "hard")
        hard = self.kind.scalars if self.parts.hard else ()
        classes = self.parts.soft and self.kind.agrees_on
        agreement = (Scalar("agreement_accuracy", "accuracy"),) if classes else ()
        return (*losses, *hard, *agreement)

    def weights(self, batch):
        """Number of answers, of tokens, and what the task's own loss is divided by."""
        tokens = tf.reduce_sum(tf.cast(batch["padding_mask"], tf.float32))
        weights = dict.fromkeys(names_of_losses(self.scalars), tokens)
        if self.parts.soft:
            weights["soft_loss"] = tf.reduce_sum(self.kind.answer_weights(batch))
        return weights | (self.kind.weights(batch) if self.parts.hard else {})

    def sums(self, batch, seed=None):
        """(sum, weight) of each part, times the part's weight, and of scores.

        `soft_loss` is in nats, or squared units of numbers; the others but the hard one are means
        over tokens, and over the student's blocks where each has one. Where answers are classes,
        `agreement_accuracy` is the share of those that are the teacher's.

        Args:
            batch: of the kind's rows.
            seed: int32 [2] for the student's dropout, or None.
        """
        features = self.kind.features(batch)
        scored = bool(self.parts.attention)
        student = Watched(self.model.student, True, scored)
        teacher = Watched(self.teacher, False, scored)
        teacher(features)
        sums = {}
        if self.parts.hard:
            sums = self.kind.sums(student, batch, seed)
            for name in names_of_losses(self.kind.scalars):
                total, weight = sums[name]
                sums[name] = (self.parts.hard * total, weight)
        else:
            student(features, seed=seed)
        if self.parts.soft:
            sums |= self._soft(student, teacher, batch)
        mask = tf.cast(features["padding_mask"], tf.float32)  # [B, L]
        for name, values in self._by_token(student, teacher).items():
            total = tf.reduce_sum(tf.reshape(values, tf.shape(mask)) * mask)
            weight = getattr(self.parts, name)
            sums[f"{name}_loss"] = (weight * total, tf.reduce_sum(mask))
        return sums

    def _soft(self, student: Watched, teacher: Watched, batch):
        """Sums of the answers' part."""
        own, target = (self.kind.answers(each.output, batch) for each in (student, teacher))
        weights = self.kind.answer_weights(batch)
        total = tf.reduce_sum(weights)
        if not self.kind.agrees_on:  # answers are numbers
            errors = tf.math.squared_difference(own, target)
            return {"soft_loss": (self.parts.soft * tf.reduce_sum(errors * weights), total)}
        errors = divergence(own, target, self.temperature)
        same = tf.cast(tf.argmax(own, -1) == tf.argmax(target, -1), tf.float32)
        return {
            "soft_loss": (self.parts.soft * tf.reduce_sum(errors * weights), total),
            "agreement_accuracy": (tf.reduce_sum(same * weights), total),
        }

    def _by_token(self, student: Watched, teacher: Watched) -> dict[str, tf.Tensor]:
        """Error of each part that looks inside, at each token, [B*L] or [B, L]."""
        parts, by_token = self.parts, {}

        def project(x, name: str = "hidden_projection"):
            projection = getattr(self.model, name)
            return x if projection is None else projection(tf.cast(x, tf.float32))

        if parts.hidden:
            errors = [
                mean_squared_error(project(student.hidden[own + 1]), teacher.hidden[other + 1])
                for own, other in enumerate(self.layers)
            ]
            by_token["hidden"] = tf.add_n(errors) / len(errors)
        if parts.embedding:
            own = project(student.hidden[0], "embedding_projection")
            by_token["embedding"] = mean_squared_error(own, teacher.hidden[0])
        if parts.attention:
            errors = []
            for own, other in enumerate(self.layers):
                (mine, seen), (theirs, also_seen) = student.scores(own), teacher.scores(other)
                errors.append(attention_error(mine, theirs, seen & also_seen))
            by_token["attention"] = tf.add_n(errors) / len(errors)
        if parts.cosine:
            by_token["cosine"] = cosine_distance(project(student.hidden[-1]), teacher.hidden[-1])
        return by_token
