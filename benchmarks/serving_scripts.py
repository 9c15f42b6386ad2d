"""The scripts that `serving` runs, each in a process of its own and in the library's Python."""

# What every process does around its library's script. The script defines encode(texts), which gives
# float32 [texts, H] with rows of length 1.
HARNESS = """
import json, os, sys, time

os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np

replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what libraries print is not a reply
spec = json.loads(sys.argv[1])
texts = json.load(open(spec["texts"]))

def cut(first, count, size):
    return [texts[i : min(i + size, first + count)] for i in range(first, first + count, size)]

def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

def serve(encode):
    batches = cut(0, spec["warm_up"], spec["batch_size"])
    np.save(spec["vectors"], unit(np.concatenate([encode(batch) for batch in batches])))
    for batch in cut(0, 50, 1):
        encode(batch)
    print("ready", file=replies)
    for question in sys.stdin:
        encode(texts[: spec["batch_size"]])  # wakes threads and fills caches
        seconds = []
        for batch in cut(*json.loads(question)):
            began = time.perf_counter()
            encode(batch)
            seconds.append(time.perf_counter() - began)
        np.save(spec["seconds"], seconds)
        print(sum(seconds), file=replies)
"""
ARRAYS = ("vectors", "seconds")  # the files that a process writes
SCRIPTS = {}

SCRIPTS["roots"] = """
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(spec["threads"])
import tensorflow_text  # the tokenizer's ops

served = tf.saved_model.load(spec["saved_model"][spec["precision"]])
signature = served.signatures["serving_default"]

def encode(texts):
    return signature(text=tf.constant(texts))["embedding"].numpy()

serve(encode)
"""

# Row by row: then nothing is padding.
SCRIPTS["roots_onnx"] = """
import onnxruntime, tokenizers

folder = spec["roots_onnx"][spec["precision"]]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = spec["threads"]
session = onnxruntime.InferenceSession(
    folder + "/model.onnx", options, providers=["CPUExecutionProvider"])
tokenizer = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.enable_truncation(spec["length"])
how = onnxruntime.RunOptions()
how.only_execute_path_to_fetches = True  # and not the states, which are an output too

def encode_one(text):
    ids = np.array([tokenizer.encode(text).ids])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids),
              "token_type_ids": np.zeros_like(ids)}
    return session.run(["embedding"], inputs, how)[0]

serve(lambda texts: unit(np.concatenate([encode_one(text) for text in texts])))
"""

# As a phone does, one row at a time.
SCRIPTS["roots_litert"] = """
import tensorflow as tf
import tokenizers

folder = spec["litert"][spec["precision"]]
interpreter = tf.lite.Interpreter(folder + "/model.tflite", num_threads=spec["threads"])
signature = interpreter.get_signature_runner("serving_default")
tokenizer = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.enable_truncation(spec["length"])

def encode_one(text):
    ids = np.array([tokenizer.encode(text).ids], np.int32)
    ones = np.ones_like(ids)
    return signature(token_ids=ids, segment_ids=0 * ones, padding_mask=ones)["embedding"]

serve(lambda texts: unit(np.concatenate([encode_one(text) for text in texts])))
"""

SCRIPTS["sentence_transformers"] = """
import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(len(os.sched_getaffinity(0)))
dtype = getattr(torch, spec["precision"])
model = SentenceTransformer(spec["checkpoint"], device="cpu", model_kwargs={"dtype": dtype})
model.max_seq_length = spec["length"]
if spec["compiled"]:
    model.compile(dynamic=True)

def encode(texts):
    return model.encode(texts, batch_size=len(texts), normalize_embeddings=True,
                        show_progress_bar=False)

serve(encode)
"""

SCRIPTS["onnx_runtime"] = """
import onnxruntime, tokenizers

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = spec["threads"]
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(
    spec["onnx"][spec["precision"]], options, providers=["CPUExecutionProvider"])
tokenizer = tokenizers.Tokenizer.from_file(spec["checkpoint"] + "/tokenizer.json")
tokenizer.enable_truncation(spec["length"])
tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))

def encode(texts):
    rows = tokenizer.encode_batch_fast(texts)
    ids = np.array([row.ids for row in rows])
    mask = np.array([row.attention_mask for row in rows])
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return session.run(["embedding"], inputs)[0]

serve(encode)
"""

SCRIPTS["keras_hub"] = """
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras_hub
import tensorflow as tf

preprocessor = keras_hub.models.BertTextEmbedderPreprocessor.from_preset(
    spec["checkpoint"], sequence_length=spec["length"])
embedder = keras_hub.models.BertTextEmbedder.from_preset(
    spec["checkpoint"], preprocessor=None, pooling_mode="mean", normalize=True)

@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def embed(texts):
    features = preprocessor(texts)
    used = tf.reduce_max(tf.reduce_sum(tf.cast(features["padding_mask"], tf.int32), -1))
    return embedder({name: feature[:, :used] for name, feature in features.items()})

serve(lambda texts: embed(tf.constant(texts)).numpy())
"""

# Attention is exported as products and softmax, which ONNX Runtime knows how to fuse; its fusions
# come before the quantisation, which would hide what they look for.
MAKE_ONNX = """
import json, sys
import onnx, torch, transformers
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model

spec = json.loads(sys.argv[1])

class Embedder(transformers.BertModel):
    def forward(self, input_ids, attention_mask, token_type_ids):
        hidden = super().forward(
            input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        inside = attention_mask[..., None].to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * inside).sum(1) / inside.sum(1))

model = Embedder.from_pretrained(
    spec["checkpoint"], add_pooling_layer=False, attn_implementation="eager").eval()
ids = torch.randint(1000, 2000, [2, 16])
names = ["input_ids", "attention_mask", "token_type_ids"]
axes = {name: {0: "batch", 1: "length"} for name in names} | {"embedding": {0: "batch"}}
torch.onnx.export(
    model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), spec["onnx"]["float32"],
    input_names=names, output_names=["embedding"], dynamic_axes=axes, dynamo=False)
fused = optimize_model(spec["onnx"]["float32"], "bert", model.config.num_attention_heads,
                       model.config.hidden_size)
quantize_dynamic(fused.model, spec["onnx"]["int8"], per_channel=True,
                 weight_type=QuantType.QInt8,
                 extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
"""
