"""Requests that stand in the folder of a SavedModel: to warm a server up, for curl, for gRPC.

assets.extra/tf_serving_warmup_requests   what TensorFlow Serving asks as it loads the model
requests/<signature>.json                 the body of a request over REST
requests/curl.sh                          sends each of them over REST
requests/client.py                        sends one of them over gRPC
"""

import base64
import re
import string
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from absl import logging
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from roots_tf.export import operations
from roots_tf.storage import files
from roots_tf.storage.files import InputError

WARM_UP = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000  # `kMaxNumRecords` in tensorflow_serving's `saved_model_warmup_util.h`

_CURL = """\
#!/bin/sh
# Sends each request to TensorFlow Serving: sh curl.sh [HOST:PORT of its REST interface]
cd "$(dirname "$0")" || exit
"""
_CLIENT = string.Template('''\
"""Asks TensorFlow Serving for answers of the model "$model" over gRPC.

    pip install tensorflow-serving-api
    python client.py [SIGNATURE] [HOST:PORT of its gRPC interface]

Sends what <SIGNATURE>.json beside this file holds, by default $first.json to localhost:8500.
"""

import base64
import json
import sys
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TYPES = {  # of the inputs of each signature
$types
}


def bytes_or_object(found):
    """Bytes that are no UTF-8 are written as {"b64": "..."}."""
    return base64.b64decode(found["b64"]) if set(found) == {"b64"} else found


signature, server = [*sys.argv[1:], *("$first", "localhost:8500")[len(sys.argv) - 1 :]]
text = Path(__file__).with_name(f"{signature}.json").read_text("utf-8")
inputs = json.loads(text, object_hook=bytes_or_object)["inputs"]
request = predict_pb2.PredictRequest()
request.model_spec.name = "$model"
request.model_spec.signature_name = signature
for name, values in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(values, TYPES[signature][name]))
with grpc.insecure_channel(server) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=60)  # seconds
for name, output in sorted(response.outputs.items()):
    print(name, tf.make_ndarray(output).tolist())
''')


def signatures(saved_model: str | Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """What can be asked of a SavedModel: inputs and outputs of each signature, by its name."""
    all_signatures = operations.meta_graph(saved_model).signature_def
    return {
        name: all_signatures[name] for name in sorted(all_signatures) if not name.startswith("__")
    }


def write(saved_model: str | Path, model: str, examples: Mapping[str, Mapping]) -> None:
    """Writes the files named above into the folder of a SavedModel.

    The warm-up needs the package `tensorflow-serving-api`, of the extra `serving`; without it the
    log says that there is none.

    Args:
        saved_model: folder of one version, written already.
        model: name that the server will know it by.
        examples: {signature: {input: its values, as nested lists or an array}}. The server asks
            them all as it starts, so they should be of the sizes of true requests.

    Raises:
        InputError: an example does not fit a signature, there are too many, or see `check_name`.
    """
    check_name(model)
    if not 1 <= len(examples) <= MAX_RECORDS:
        raise InputError(
            "wrong-request", f"found {len(examples)} examples; wanted 1 to {MAX_RECORDS}"
        )
    known = signatures(saved_model)
    tensors = {name: _tensors(known, name, inputs) for name, inputs in examples.items()}
    folder, curl = Path(saved_model, "requests"), _CURL
    for name, inputs in tensors.items():
        values = {key: _json(tf.make_ndarray(tensor).tolist()) for key, tensor in inputs.items()}
        files.write_json(folder / f"{name}.json", {"signature_name": name, "inputs": values})
        url = f"http://${{1:-localhost:8501}}/v1/models/{model}:predict"
        curl += f'curl -sS -d @{name}.json "{url}"\n'
    files.write_text(folder / "curl.sh", curl)
    types = {
        name: {key: tf.as_dtype(tensor.dtype).name for key, tensor in inputs.items()}
        for name, inputs in tensors.items()
    }
    lines = "\n".join(f"    {name!r}: {dtypes}," for name, dtypes in types.items())
    client = _CLIENT.substitute(model=model, types=lines, first=next(iter(types)))
    files.write_text(folder / "client.py", client)
    _write_warm_up(Path(saved_model, WARM_UP), model, tensors)


def check_name(model: str) -> None:
    """Refuses a name of a model that cannot stand in a URL and in Python.

    Raises:
        InputError: it has other characters.
    """
    if not re.fullmatch(r"[\w.-]+", model, re.ASCII):
        raise InputError(
            "wrong-request",
            f"found {model!r} as a model's name, which is that of its folder; wanted letters, "
            "digits, '.', '_', '-'",
        )


def _tensors(known: Mapping, signature: str, inputs: Mapping) -> dict[str, tensor_pb2.TensorProto]:
    """Inputs as tensors of the types that a signature wants.

    Raises:
        InputError: they are not what it wants.
    """
    if signature not in known:
        raise InputError(
            "wrong-request", f"found no signature {signature!r}; wanted one of {', '.join(known)}"
        )
    wanted = known[signature].inputs
    if inputs.keys() != wanted.keys():
        raise InputError(
            "wrong-request",
            f"found an example for {signature} with {', '.join(sorted(inputs))}; wanted "
            f"{', '.join(sorted(wanted))}",
        )
    tensors = {}
    for name, values in inputs.items():
        try:
            tensors[name] = tf.make_tensor_proto(values, wanted[name].dtype)
        except (TypeError, ValueError) as error:
            raise InputError(
                "wrong-request",
                f"found an example for {name} of {signature} that is no tensor of it: {error}",
            ) from error
        shape = tf.TensorShape(wanted[name].tensor_shape)
        if not shape.is_compatible_with(tf.TensorShape(tensors[name].tensor_shape)):
            raise InputError(
                "wrong-request",
                f"found an example for {name} of {signature} of shape "
                f"{tf.TensorShape(tensors[name].tensor_shape)}; wanted {shape}",
            )
    return tensors


def _json(value):
    """Nested lists with bytes as JSON has them: text, or base64 of what is no UTF-8."""
    if isinstance(value, list):
        return [_json(each) for each in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _write_warm_up(path: Path, model: str, tensors: Mapping[str, Mapping]) -> None:
    """Writes a record a signature, `tensorflow_serving/g3doc/saved_model_warmup.md`."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        logging.warning("no warm-up requests were written: pip install 'roots-tf[serving]'")
        return
    with files.atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for signature, inputs in tensors.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            for name, tensor in inputs.items():
                request.inputs[name].CopyFrom(tensor)
            writer.write(log.SerializeToString())
