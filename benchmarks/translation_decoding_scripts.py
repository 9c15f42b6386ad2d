"""What the contenders of `benchmarks.translation_decoding` run, each in a process of its own.

A script builds a model of random weights, says "ready", and answers each line, a JSON object with
`batch`, `source`, `tokens` and `beams`, with the seconds that writing the targets took.
"""

HARNESS = '''
import json, sys, time
import numpy as np
spec = json.loads(sys.argv[1])
def serve(write):
    """Answers lines; what compiles does so in a first, unmeasured call of the same shapes."""
    print("ready", flush=True)
    seen = set()
    for line in sys.stdin:
        cell = json.loads(line)
        rng = np.random.default_rng(cell["batch"])
        ids = rng.integers(5, spec["vocab_size"], [cell["batch"], cell["source"]]).astype("int32")
        for _ in range(2 - (line in seen)):
            began = time.perf_counter()
            found = write(ids, cell)
            seconds = time.perf_counter() - began
            assert found == [cell["tokens"]] * cell["batch"], found
        seen.add(line)
        print(seconds, flush=True)
'''

OURS = """
from roots_tf.generation import Settings
from roots_tf.generation.sources import Sources
from roots_tf.models import EncoderDecoder
from roots_tf.models.config import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.training import memory
memory.keep_freed_memory()  # as predict does
config = EncoderConfig(**preset_fields("transformer") | {
    "vocabulary_size": spec["vocab_size"], "num_layers": spec["layers"],
    "hidden_dim": spec["hidden"], "num_heads": spec["heads"],
    "intermediate_dim": spec["intermediate"], "max_sequence_length": 512, "dropout": 0.0,
})
model = EncoderDecoder(config, DecoderConfig.like(config, output_bias=True))
made = {}
def write(ids, cell):
    key = cell["beams"], cell["tokens"], cell["batch"]
    if key not in made:
        beams = {"decoding": "greedy"} if key[0] == 1 else {"decoding": "beam", "num_beams": key[0]}
        made[key] = Sources(
            model, Settings(max_new_tokens=cell["tokens"], **beams), start_ids=(1,), eos_id=-1,
            pad_id=0, num_tokens=None, forbidden=(), batch_size=cell["batch"],
        )
    return [len(target.ids) for [target] in made[key].targets(list(ids))]
serve(write)
"""

HUGGING_FACE = """
import torch, transformers
torch.manual_seed(0)
config = transformers.MarianConfig(
    vocab_size=spec["vocab_size"], d_model=spec["hidden"], max_position_embeddings=512,
    encoder_layers=spec["layers"], decoder_layers=spec["layers"],
    encoder_attention_heads=spec["heads"], decoder_attention_heads=spec["heads"],
    encoder_ffn_dim=spec["intermediate"], decoder_ffn_dim=spec["intermediate"],
    activation_function="relu", scale_embedding=True, pad_token_id=0, decoder_start_token_id=1,
    bos_token_id=None, eos_token_id=None, forced_eos_token_id=None,
)
model = transformers.MarianMTModel(config).eval()
def write(ids, cell):
    ids = torch.tensor(ids, dtype=torch.long)
    with torch.inference_mode():
        found = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=cell["tokens"],
            num_beams=cell["beams"], do_sample=False,
        )
    return [len(row) - 1 for row in found]  # behind the start
serve(write)
"""

SCRIPTS = {"roots_tf": OURS, "hugging_face": HUGGING_FACE}
