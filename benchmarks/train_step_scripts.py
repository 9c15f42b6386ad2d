"""The scripts that `train_step` runs, each in a process of its own and in the library's Python."""

# What every process does around its library's script. The script defines run(steps), which trains
# so many steps, waits for the last and returns the seconds where it timed them itself.
HARNESS = """
import json, os, sys, time
import numpy as np

replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what libraries print is not a reply
spec = json.loads(sys.argv[1])
batches = [dict(np.load(path)) for path in spec["batches"]]
bfloat16 = spec["precision"] == "bfloat16"
keras_policy = "mixed_bfloat16" if bfloat16 else "float32"

def batches_for_ever():
    while True:
        yield from tensors

def timed(run, steps):
    began = time.perf_counter()
    return run(steps) or time.perf_counter() - began

def serve(run):
    timed(run, 1)  # traces and compiles
    a_step = timed(run, 1)
    print("ready", file=replies)
    for seconds in sys.stdin:
        steps = max(1, round(float(seconds) / a_step))
        a_step = timed(run, steps) / steps
        print(spec["batch_size"] * spec["length"] / a_step, file=replies)
"""

OURS = "roots"
SCRIPTS = {}
SCRIPTS[OURS] = """
import tensorflow as tf
from roots_tf import models
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.training import memory, optimizers, schedules, step, strategies

memory.keep_freed_memory()  # as pretrain does
with strategies.make_strategy("one_device").scope():
    config = models.EncoderConfig.of_size(
        spec["size"], vocabulary_size=spec["vocab_size"], max_sequence_length=spec["length"])
    model = models.Pretrainer(config, precision=keras_policy)
    optimizer = optimizers.AdamW([v.value for v in model.trainable_variables], 0.01)
    train_step = step.TrainStep(
        MaskedLMTask(model), optimizer,
        lambda at: schedules.linear(at, peak=1e-4, warmup_steps=100, total_steps=1_000_000),
        seed=0, max_grad_norm=1.0, jit_compile=spec["compiled"])
    call = tf.function(train_step)
tensors = [{name: tf.constant(value) for name, value in batch.items()} for batch in batches]
feed = enumerate(batches_for_ever())

def run(steps):
    for _ in range(steps):
        number, batch = next(feed)
        sums = call(batch, tf.constant(number, tf.int64))
    float(sums["masked_lm_loss"][0])

serve(run)
"""

SCRIPTS["hugging_face"] = """
import torch, transformers
from torch.nn.functional import cross_entropy

torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = transformers.BertForPreTraining(transformers.BertConfig(
    vocab_size=spec["vocab_size"], hidden_size=spec["hidden_dim"],
    num_hidden_layers=spec["num_layers"], num_attention_heads=spec["num_heads"],
    intermediate_size=spec["intermediate_dim"], max_position_embeddings=spec["length"],
)).train().to(device)
decayed = [p for p in model.parameters() if p.ndim > 1]
others = [p for p in model.parameters() if p.ndim <= 1]
optimizer = torch.optim.AdamW(
    [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
    lr=1e-4, eps=1e-6, fused=True)

def loss_of(batch):
    inputs = {"input_ids": batch["token_ids"], "attention_mask": batch["padding_mask"],
              "token_type_ids": batch["segment_ids"]}
    pairs = batch["next_sentence_labels"]
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
        if not spec["predictions_only"]:
            return model(**inputs, labels=batch["labels"], next_sentence_label=pairs).loss
        hidden, pooled = model.bert(**inputs)[:2]
        at = batch["masked_lm_positions"][..., None].expand(-1, -1, hidden.shape[-1])
        logits, next_logits = model.cls(hidden.gather(1, at), pooled)
        return cross_entropy(logits.flatten(0, 1), batch["masked_lm_ids"].flatten()) + (
            cross_entropy(next_logits, pairs))

if spec["compiled"]:
    loss_of = torch.compile(loss_of)

tensors = []
for batch in batches:
    batch = {name: torch.as_tensor(value).long().to(device) for name, value in batch.items()}
    empty = torch.full_like(batch["token_ids"], -100)
    batch["labels"] = empty.scatter(1, batch["masked_lm_positions"], batch["masked_lm_ids"])
    tensors.append(batch)
feed = batches_for_ever()

def run(steps):
    for _ in range(steps):
        loss = loss_of(next(feed))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    loss.item()

serve(run)
"""

# How keras-hub's models run in both files of scripts, behind `model` and `data`.
KERAS_RUN = """
class Clock(keras.callbacks.Callback):  # leaves the start of fit() out
    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.began

def run(steps):
    clock = Clock()
    model.fit(data, steps_per_epoch=steps, verbose=0, callbacks=[clock])
    return clock.seconds

serve(run)
"""

SCRIPTS["keras_hub"] = """
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras, keras_hub
import tensorflow as tf

keras.config.set_dtype_policy(keras_policy)
backbone = keras_hub.models.BertBackbone(
    vocabulary_size=spec["vocab_size"], num_layers=spec["num_layers"],
    num_heads=spec["num_heads"], hidden_dim=spec["hidden_dim"],
    intermediate_dim=spec["intermediate_dim"], max_sequence_length=spec["length"], dropout=0.1)
positions = keras.Input([spec["predictions"]], dtype="int32", name="masked_lm_positions")
head = keras_hub.layers.MaskedLMHead(
    token_embedding=backbone.token_embedding, layer_norm_epsilon=1e-12,
    intermediate_activation=lambda x: keras.activations.gelu(x, approximate=True))
encoded = backbone.output
model = keras.Model(
    {**backbone.input, "masked_lm_positions": positions},
    {"masked_lm": head(encoded["sequence_output"], positions),
     "next_sentence": keras.layers.Dense(2)(encoded["pooled_output"])})
optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0, epsilon=1e-6)
optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
loss = lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer, loss={"masked_lm": loss(), "next_sentence": loss()},
              jit_compile=spec["compiled"])

stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
stacked["padding_mask"] = stacked["padding_mask"].astype("int32")
inputs = ("token_ids", "segment_ids", "padding_mask", "masked_lm_positions")
targets = {"masked_lm": stacked["masked_lm_ids"], "next_sentence": stacked["next_sentence_labels"]}
data = tf.data.Dataset.from_tensor_slices(({name: stacked[name] for name in inputs}, targets))
data = data.repeat().prefetch(1)
"""


SCRIPTS["keras_hub"] += KERAS_RUN

SCRIPTS["tf_models"] = """
import tensorflow as tf, tf_keras
from official.nlp import optimization
from official.nlp.configs import bert, encoders
from official.nlp.data import pretrain_dataloader
from official.nlp.tasks import masked_lm

tf_keras.mixed_precision.set_global_policy(keras_policy)
sizes = encoders.BertEncoderConfig(
    vocab_size=spec["vocab_size"], hidden_size=spec["hidden_dim"], num_layers=spec["num_layers"],
    num_attention_heads=spec["num_heads"], intermediate_size=spec["intermediate_dim"],
    max_position_embeddings=spec["length"])
pooler = bert.ClsHeadConfig(
    inner_dim=spec["hidden_dim"], num_classes=2, dropout_rate=0.1, name="next_sentence")
task = masked_lm.MaskedLMTask(masked_lm.MaskedLMConfig(
    model=bert.PretrainerConfig(
        encoder=encoders.EncoderConfig(type="bert_v2", bert_v2=sizes), cls_heads=[pooler]),
    train_data=pretrain_dataloader.BertPretrainDataConfig()))
model = task.build_model()
metrics = task.build_metrics()
optimizer = optimization.create_optimizer(1e-4, 1_000_000, 100)  # clips to norm 1

names = {"input_word_ids": "token_ids", "input_type_ids": "segment_ids",
         "input_mask": "padding_mask", "masked_lm_positions": "masked_lm_positions",
         "masked_lm_ids": "masked_lm_ids"}
tensors = [
    {**{theirs: tf.constant(batch[name], tf.int32) for theirs, name in names.items()},
     "masked_lm_weights": tf.constant(batch["masked_lm_weights"]),
     "next_sentence_labels": tf.constant(batch["next_sentence_labels"][:, None])}
    for batch in batches]
feed = batches_for_ever()

@tf.function(jit_compile=spec["compiled"])
def call(batch):
    return task.train_step(batch, model, optimizer, metrics)

def run(steps):
    for _ in range(steps):
        logs = call(next(feed))
    float(logs[task.loss])

serve(run)
"""

PEAK = """
import os, sys
replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
from roots_tf.training.peak import matmul_peak
print("ready", file=replies)
for line in sys.stdin:
    print(matmul_peak(line.strip()), file=replies)
"""
