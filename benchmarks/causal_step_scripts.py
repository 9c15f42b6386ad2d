"""The scripts that `train_step --objective=causal_lm` runs, as those of `train_step_scripts`.

All train GPT-2 with dropout 0.1 and predict every token. Ours gets rows as `pretrain` does: which
document a token is of, its place in it and what it predicts; the others get ids alone.
"""

from benchmarks.train_step_scripts import KERAS_RUN

OURS = """
import tensorflow as tf
from roots_tf import models
from roots_tf.objectives.causal_lm_task import CausalLMTask
from roots_tf.training import memory, optimizers, schedules, step, strategies

memory.keep_freed_memory()  # as pretrain does
with strategies.make_strategy("one_device").scope():
    config = models.EncoderConfig.of_size(
        spec["size"], preset="gpt2", vocabulary_size=spec["vocab_size"],
        max_sequence_length=spec["length"])
    model = models.CausalLM(config, precision=keras_policy)
    optimizer = optimizers.AdamW([v.value for v in model.trainable_variables], 0.1)
    train_step = step.TrainStep(
        CausalLMTask(model), optimizer,
        lambda at: schedules.linear(at, peak=1e-4, warmup_steps=100, total_steps=1_000_000),
        seed=0, max_grad_norm=1.0, jit_compile=spec["compiled"])
    call = tf.function(train_step)
tensors = []
for batch in batches:
    ids = tf.constant(batch["token_ids"])
    inputs = ids[:, :-1]
    tensors.append({
        "token_ids": inputs, "next_token_ids": ids[:, 1:],
        "segment_ids": tf.zeros_like(inputs), "document_ids": tf.ones_like(inputs),
        "position_ids": tf.zeros_like(inputs) + tf.range(spec["length"]),
        "padding_mask": inputs >= 0, "next_token_weights": tf.ones(inputs.shape)})
feed = enumerate(batches_for_ever())

def run(steps):
    for _ in range(steps):
        number, batch = next(feed)
        sums = call(batch, tf.constant(number, tf.int64))
    float(sums["causal_lm_loss"][0])

serve(run)
"""

# What follows the model in both of PyTorch's: loss_of(batch) and the optimizer are theirs.
TORCH_RUN = """
if spec["compiled"]:
    loss_of = torch.compile(loss_of)
tensors = [torch.as_tensor(batch["token_ids"]).long().to(device) for batch in batches]
feed = batches_for_ever()

def run(steps):
    for _ in range(steps):
        loss = loss_of(next(feed))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    loss.item()

serve(run)
"""

HUGGING_FACE = (
    """
import torch, transformers
from torch.nn.functional import cross_entropy

torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
    vocab_size=spec["vocab_size"], n_positions=spec["length"], n_embd=spec["hidden_dim"],
    n_layer=spec["num_layers"], n_head=spec["num_heads"], n_inner=spec["intermediate_dim"],
    use_cache=False)).train().to(device)
decayed = [p for p in model.parameters() if p.ndim > 1]
others = [p for p in model.parameters() if p.ndim <= 1]
optimizer = torch.optim.AdamW(
    [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
    lr=1e-4, fused=True)

def loss_of(ids):
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
        logits = model(input_ids=ids[:, :-1]).logits
        return cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
"""
    + TORCH_RUN
)

NANOGPT = (
    """
import torch
sys.path.insert(0, spec["nanogpt"])
from model import GPT, GPTConfig

torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = GPT(GPTConfig(
    block_size=spec["length"], vocab_size=spec["vocab_size"], n_layer=spec["num_layers"],
    n_head=spec["num_heads"], n_embd=spec["hidden_dim"], dropout=0.1, bias=True)).to(device)
optimizer = model.configure_optimizers(0.1, 1e-4, (0.9, 0.999), device)

def loss_of(ids):
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
        return model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())[1]
"""
    + TORCH_RUN
)

KERAS_HUB = (
    """
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras, keras_hub
import tensorflow as tf

keras.config.set_dtype_policy(keras_policy)
backbone = keras_hub.models.GPT2Backbone(
    vocabulary_size=spec["vocab_size"], num_layers=spec["num_layers"],
    num_heads=spec["num_heads"], hidden_dim=spec["hidden_dim"],
    intermediate_dim=spec["intermediate_dim"], dropout=0.1, max_sequence_length=spec["length"])
model = keras_hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)
optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.1, global_clipnorm=1.0)
optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
model.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              weighted_metrics=[], jit_compile=spec["compiled"])
ids = np.stack([batch["token_ids"] for batch in batches])
inputs = {"token_ids": ids[:, :, :-1], "padding_mask": np.ones_like(ids[:, :, :-1])}
data = tf.data.Dataset.from_tensor_slices((inputs, ids[:, :, 1:])).repeat().prefetch(1)
"""
    + KERAS_RUN
)


SCRIPTS = {"roots": OURS, "hugging_face": HUGGING_FACE, "keras_hub": KERAS_HUB, "nanogpt": NANOGPT}
