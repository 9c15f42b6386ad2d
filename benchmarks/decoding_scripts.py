"""What the contenders of `benchmarks.decoding` run, each in a process of its own.

A script builds a model of random weights, says "ready", and answers each line, a JSON object with
`batch`, `prompt`, `tokens`, `decoding` and `top_p`, with the seconds that generation took.
"""

HARNESS = '''
import json, sys, time
import numpy as np
spec = json.loads(sys.argv[1])
def serve(generate):
    """Answers lines; what compiles does so in a first, unmeasured call of the same shapes."""
    print("ready", flush=True)
    seen = set()
    for line in sys.stdin:
        cell = json.loads(line)
        rng = np.random.default_rng(cell["batch"])
        ids = rng.integers(5, spec["vocab_size"], [cell["batch"], cell["prompt"]]).astype("int32")
        for _ in range(2 - (line in seen)):
            began = time.perf_counter()
            found = generate(ids, cell)
            seconds = time.perf_counter() - began
            assert found == (cell["batch"], cell["tokens"]), found
        seen.add(line)
        print(seconds, flush=True)
'''

OURS = """
import tensorflow as tf
from roots_tf import generation
from roots_tf.models import CausalLM, EncoderConfig
model = CausalLM(
    EncoderConfig(
        spec["vocab_size"], spec["layers"], spec["hidden"], spec["hidden"] // 64,
        4 * spec["hidden"], max_sequence_length=1024, num_segments=0, norm="pre",
        embedding_norm=False, activation="gelu_tanh", layer_norm_epsilon=1e-5,
    ),
    precision=spec["precision"],
)
functions = {}
def generate(ids, cell):
    kind, top_p = cell["decoding"], cell["top_p"]
    settings = generation.Settings(
        decoding=kind, max_new_tokens=cell["tokens"], top_p=top_p if kind == "sample" else 1.0
    )
    xla = spec["compiled"]
    def run(ids, lengths, seeds):
        found = generation.generate(
            model, ids, lengths, seeds, settings, eos_id=-1, pad_id=0, xla=xla
        )
        return found.ids
    function = functions.setdefault(settings, tf.function(run, jit_compile=xla))
    rows = len(ids)
    seeds = np.stack([np.arange(rows)] * 2, 1).astype("int32")
    found = function(tf.constant(ids), tf.fill([rows], ids.shape[1]), tf.constant(seeds)).numpy()
    return found.shape
serve(generate)
"""

HUGGING_FACE = """
import torch, transformers
torch.manual_seed(0)
config = transformers.GPT2Config(
    vocab_size=spec["vocab_size"], n_positions=1024, n_embd=spec["hidden"],
    n_layer=spec["layers"], n_head=spec["hidden"] // 64, bos_token_id=None, eos_token_id=None,
)
model = transformers.GPT2LMHeadModel(config).eval()
model.to(getattr(torch, spec["precision"].removeprefix("mixed_")))
def generate(ids, cell):
    sampled = {"do_sample": True, "top_p": cell["top_p"], "top_k": 0}
    kind = sampled if cell["decoding"] == "sample" else {"do_sample": False}
    if spec["cache"] == "static":
        kind["cache_implementation"] = "static"
    ids = torch.tensor(ids, dtype=torch.long)
    with torch.inference_mode():
        found = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=cell["tokens"],
            pad_token_id=0, **kind,
        )
    return tuple(found[:, ids.shape[1]:].shape)
serve(generate)
"""

KERAS_HUB = """
import os
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras, keras_hub
keras.config.set_dtype_policy(spec["precision"])
backbone = keras_hub.models.GPT2Backbone(
    vocabulary_size=spec["vocab_size"], num_layers=spec["layers"],
    num_heads=spec["hidden"] // 64, hidden_dim=spec["hidden"],
    intermediate_dim=4 * spec["hidden"], max_sequence_length=1024,
)
model = keras_hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)
samplers = {}
def generate(ids, cell):
    kind = cell["decoding"], cell["top_p"]
    if kind not in samplers:
        top_p = keras_hub.samplers.TopPSampler(p=cell["top_p"])
        samplers[kind] = top_p if kind[0] == "sample" else keras_hub.samplers.GreedySampler()
        model.compile(sampler=samplers[kind], jit_compile=spec["compiled"])
    elif model.sampler is not samplers[kind]:
        model.compile(sampler=samplers[kind], jit_compile=spec["compiled"])
    room = ((0, 0), (0, cell["tokens"]))
    inputs = {"token_ids": np.pad(ids, room), "padding_mask": np.pad(np.ones_like(ids), room)}
    found = np.asarray(model.generate(inputs, stop_token_ids=None)["token_ids"])
    return found[:, ids.shape[1]:].shape
serve(generate)
"""

SCRIPTS = {"roots_tf": OURS, "hugging_face": HUGGING_FACE, "keras_hub": KERAS_HUB}
