"""Write a model for other programs: a SavedModel that takes text, ONNX, LiteRT, Hugging Face, ...

    roots export --model=work/task/model --output=work/served
    roots export --model=work/gpt/model --output=work/served --max_new_tokens=256
    roots export --model=work/translator/model --output=work/served --num_beams=5
    roots export --model=work/minilm --output=work/served --pooling=mean --l2_normalize
    roots export --model=work/task/model --output=work/fast --format=onnx
    roots export --model=work/task/model --output=work/small --format=litert --quantize=int8
    roots export --model=work/bert_base --output=work/hf --format=huggingface
    roots export --model=work/bert_base --output=work/many --adapters=topics=work/light/adapter

saved_model takes a minute, for TensorFlow Serving, `roots serve` and `tf.saved_model.load`. Writes
`<output>/1/`, once it has given the same answers in a fresh process as `roots predict` does; on a
difference nothing is left under that name. Its signatures take strings (`serving_default`),
serialised tf.Example (`examples`) and token ids (`ids`); those of an encoder give a vector a text,
`tokens` one a token, and `fill_mask` what a pretrained model believes; those of a causal language
model continue texts, `generate` as each row asks for it; that of an encoder-decoder has its beam
search in the graph, with the settings that finetune or flags gave it. Beside the graph stand a
model card, requests for warm-up, REST and gRPC, and the ops that are not TensorFlow's own.

With --adapters it holds adapters of finetune over one base, --model, whose weights are there once:
each answers, under the signature of its name, as its merged model does by itself.

onnx takes seconds, and the extra `onnx`. Writes `model.onnx` of the standard's operators, with the
usual inputs `input_ids`, `attention_mask` and `token_type_ids`, once ONNX Runtime has given the
model's outputs to 1e-5, and the tokenizer. `roots serve` answers texts from it. For encoders.

litert takes seconds. Writes `model.tflite`, which takes token ids, and the tokenizer.

huggingface takes seconds. Writes what `transformers.AutoModel.from_pretrained(<output>)` loads, and
sentence-transformers too, where the model folder or flags say how vectors are made. A causal model
leaves as a GPT-2 or a Llama, which `AutoModelForCausalLM` loads; an encoder-decoder as a T5, a BART
or a Marian, which `AutoModelForSeq2SeqLM` loads.

With --push_to=owner/name what was written goes to that repository of the Hugging Face hub, as one
commit whose URL is printed, with its model card: --license, --language and --datasets say in the
head of it what no folder knows. The token and the repository are looked at before anything is
computed; a repository that holds a model is left alone, but for --push_over.

    roots export --model=work/task/model --output=work/hf --format=huggingface \
        --push_to=me/topics --license=apache-2.0 --language=en

keras_hub takes seconds. Writes what `keras_hub.models.BertBackbone.from_preset(<output>)` loads,
and `BertTextEmbedder`, which makes the vectors that `roots embed` makes; of a causal model,
`GPT2CausalLM`.

peft takes seconds. Of an adapter of `finetune --tune=lora` it writes what
`peft.PeftModel.from_pretrained(model, <output>)` puts on the base, as huggingface writes that.

Vectors are pooled, scaled, cut off and prompted as the model folder says, but for what flags say.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import generation, hubs, models, program, tasks, tokenizers
from roots_tf.export import flag_checks, shown_command
from roots_tf.storage.files import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `export`."""

    model: str = program.flag(
        help="model folder that pretrain, finetune, distill or import wrote; for peft the adapter "
        "folder that finetune wrote",
        role="input",
    )
    output: str = program.flag(
        help="folder to write; of a SavedModel, folder of its versions", role="output_new"
    )
    adapters: tuple[str, ...] = program.flag(
        (),
        help="saved_model: adapter folders over --model by name, name=folder,name=folder: each is "
        "a signature of that name, in place of those of the model",
        role="input",
    )
    format: Literal["saved_model", "onnx", "litert", "huggingface", "keras_hub", "peft"] = (
        program.flag("saved_model", help="what to write")
    )
    version: int = program.flag(
        1, help="saved_model: number of this version", minimum=1, maximum=2**63 - 1
    )
    max_seq_length: int = program.flag(
        0,
        help="tokens of a row at most; 0: as in training, or as the folder says. litert: of all",
        **program.TOKENS,
    )
    max_new_tokens: int | None = program.flag(
        None,
        help="saved_model: tokens behind a prompt that a request to a causal model may ask for, or "
        "of an answer of an encoder-decoder at most; not given: 256, or as finetune was told",
        minimum=1,
        maximum=1 << 20,
    )
    search: generation.SearchFlags = program.group(generation.SearchFlags(), "search")
    pooling: Literal["mean", "cls", "pooler"] | None = program.flag(
        None,
        help="which vector of an encoder's tokens is the text's; not given: as the folder says",
    )
    l2_normalize: bool | None = program.flag(
        None, help="scale an encoder's vectors to length 1; not given: as the model folder says"
    )
    prompt_name: str | None = program.flag(
        None, help="prompt of the folder to put in front of each text of an encoder; empty: none"
    )
    precision: Literal["float32", "mixed_bfloat16"] = program.flag(
        "float32", help="saved_model: what products are computed in; outputs are float32"
    )
    quantize: Literal["none", "float16", "int8"] = program.flag(
        "none",
        help="litert: weights of half the size, or a quarter and products in int8; onnx: int8",
    )
    approximate_gelu: bool = program.flag(
        False, help="keras_hub: take a model of the exact GELU, which that library approximates"
    )
    hub: hubs.PushFlags = program.group(hubs.PushFlags(), "hub")
    debug: bool = program.flag(False, help="saved_model: rows of at most 16 tokens")


@program.takes_urls
def main(config: Config) -> str:
    """Exports and returns the path of what was written; uploads it where that is asked for."""
    target = hubs.Target(config.hub) if config.hub.push_to else None
    path = _written(config)
    if target:
        print(target.push(path))
    return path


def _about(config: Config, library: str = "tensorflow"):
    """What the card says of the export beside the model."""
    from roots_tf.export.card_head import About

    return About(library, config.hub.license, config.hub.language, config.hub.datasets)


def _written(config: Config) -> str:
    """Exports and returns the path of what was written."""
    if config.adapters:
        return _adapters(config)
    if config.format == "peft":
        return _adapter(config)
    if config.format == "onnx":
        flag_checks.onnx(config)
    described = models.describe(config.model)
    if "decoder" in described and config.format != "saved_model":
        return _encoder_decoder(config)
    from roots_tf.export import hugging_face, keras_hub

    settings = embedding_settings(config, described)
    if config.format == "saved_model":
        path = _saved_model(config, described, settings)
        logging.info("%s answers as the Python model does", path)
        return str(path)
    if config.format in ("litert", "onnx"):
        _file_of_rows(config, settings)
        logging.info("%s is written", config.output)
        return config.output
    if models.is_causal(described):
        _causal(config)
    elif config.format == "huggingface":
        hugging_face.write(config.output, config.model, settings, config.max_seq_length)
    else:
        keras_hub.write(config.output, config.model, config.approximate_gelu, settings)
    return _with_card(config, settings)


def _with_card(config: Config, settings: models.EmbeddingSettings | None = None) -> str:
    """Writes the card of a folder for another library, and returns the path of that."""
    from roots_tf.export import card

    libraries = {"huggingface": "transformers", "keras_hub": "keras-hub"}
    has_steps = Path(config.output, "modules.json").exists()
    library = "sentence-transformers" if has_steps else libraries[config.format]
    command, about = shown_command.command(config), _about(config, library)
    card.write(config.output, config.model, command, settings, about)
    logging.info("%s is written", config.output)
    return config.output


def embedding_settings(config: Config, described: dict) -> models.EmbeddingSettings:
    """How texts become vectors: as the model folder says, but for flags.

    Args:
        config: of the program.
        described: what `models.describe` gives for the model.

    Raises:
        InputError: a flag is about vectors, and the model answers with something else.
    """
    given = {name: getattr(config, name) for name in ("pooling", "l2_normalize", "prompt_name")}
    kind = tasks.kind_of(described)
    is_causal = kind is None and models.is_causal(described)
    if "decoder" in described:
        flag_checks.encoder_decoder(kind)
    else:
        name = f"the task {kind.name}" if kind else f"kind {described['kind']}"
        config.search.check_unused(name, None if is_causal else config.max_new_tokens)
    if is_causal:
        flag_checks.causal(config, given)
        return models.EmbeddingSettings()
    if wrong := [name for name, value in given.items() if value is not None and kind]:
        raise InputError(
            "flags-conflict",
            f"found --{wrong[0]} and a model of the task {kind.name}, which answers as it was "
            "trained; leave it out",
        )
    length = 0 if kind else config.max_seq_length
    settings = tasks.embedding_settings(described, config.model)
    settings = settings.with_flags(max_seq_length=length, **given)
    if kind is None:
        logging.info("vectors of %s: %s", config.model, settings)
    return settings


def _adapter(config: Config) -> str:
    """Writes an adapter for peft, and returns the path of it."""
    adapter = models.Adapter(config.model)
    from roots_tf.export import card, peft

    peft.write(config.output, adapter)
    about = _about(config, "peft")
    card.write_of_adapter(config.output, adapter, shown_command.command(config), about)
    logging.info("%s is written", config.output)
    return config.output


def _file_of_rows(config: Config, settings: models.EmbeddingSettings) -> None:
    """Writes a model for LiteRT or ONNX."""
    from roots_tf.export import card

    if config.format == "onnx":
        from roots_tf.export import onnx_folder as writer
    else:
        from roots_tf.export import litert as writer
    length = config.max_seq_length
    report = writer.write(config.output, config.model, config.quantize, length, settings)
    command = shown_command.command(config)
    card.write(config.output, config.model, command, settings, _about(config))
    shown = {name: value for name, value in report.items() if name not in ("model", "sha256")}
    logging.info("%s: %s", config.output, shown)


def _causal(config: Config) -> None:
    """Writes a causal model for transformers or keras-hub."""
    from roots_tf.export import causal_folders, keras_hub_causal

    if config.format == "huggingface":
        causal_folders.write(config.output, config.model, config.max_seq_length)
    else:
        keras_hub_causal.write(config.output, config.model, config.approximate_gelu)


def _encoder_decoder(config: Config) -> str:
    """Writes an encoder-decoder for transformers, and returns the path of it.

    Raises:
        InputError: another format is asked for, or a flag is about vectors.
    """
    from roots_tf.export import encoder_decoder_folders

    if config.format != "huggingface":
        raise InputError(
            "cannot-export",
            f"found --format={config.format} and an encoder_decoder, which it does not hold; "
            "wanted --format=huggingface",
        )
    of_vectors = ("pooling", "l2_normalize", "prompt_name")
    if wrong := [name for name in of_vectors if getattr(config, name) is not None]:
        raise InputError(
            "flags-conflict",
            f"found --{wrong[0]} and an encoder_decoder, which writes texts and makes no vectors; "
            "leave it out",
        )
    encoder_decoder_folders.write(config.output, config.model, config.max_seq_length)
    return _with_card(config)


def _adapters(config: Config) -> str:
    """Writes adapters over one base, and returns the path of the SavedModel."""
    of_vectors = {"l2_normalize", "pooling", "prompt_name"}
    given = [name for name in sorted(of_vectors) if getattr(config, name) is not None]
    if config.format != "saved_model":
        given = [f"format={config.format}"]
    if given:
        raise InputError(
            "flags-conflict",
            f"found --adapters and --{given[0]}; wanted --format=saved_model, whose adapters "
            "answer as they were trained: leave it out",
        )
    models.describe(config.model)
    adapters = models.of_one_base(config.adapters, config.model)
    _check_search(config, adapters)
    from roots_tf.export import adapters as export_of
    from roots_tf.export import card, requests, saved_model

    requests.check_name(Path(config.output).resolve().name)
    saved_model.new_version(config.output, config.version)

    def write_beside(folder: Path) -> None:
        card.write_of_adapters(folder, config.model, adapters, shown_command.command(config))

    path = export_of.export(
        *(adapters, config.model, config.precision, _limits(config)),
        *(config.output, config.version, write_beside),
    )
    logging.info("%s: %s answer as their merged models do", path, ", ".join(adapters))
    return str(path)


def _check_search(config: Config, adapters: dict) -> None:
    """Refuses flags of answers that are written, where no adapter writes any."""
    described = [adapter.described for adapter in adapters.values()]
    kinds = [(tasks.kind_of(each), models.is_causal(each)) for each in described]
    if not any(kind is not None and kind.decodes for kind, _ in kinds):
        continues = any(kind is None and is_causal for kind, is_causal in kinds)
        most = None if continues else config.max_new_tokens
        config.search.check_unused(f"the adapters {', '.join(adapters)}", most)


def _limits(config: Config):
    """What requests may ask for."""
    from roots_tf.export.answering import Limits

    return Limits(config.max_seq_length, config.max_new_tokens, config.search, config.debug)


def _saved_model(config: Config, described: dict, settings: models.EmbeddingSettings) -> Path:
    """Writes a SavedModel, once its answers are checked, and returns its path."""
    from roots_tf.export import answering, card, requests, saved_model
    from roots_tf.export.generation import Generation

    requests.check_name(Path(config.output).resolve().name)
    saved_model.new_version(config.output, config.version)
    model = models.load(config.model, config.precision)
    tokenizer = tokenizers.load(config.model)
    asked = described, config.model, model, tokenizer, settings, _limits(config)
    served, python = answering.answering(*asked)
    if isinstance(served, Generation):
        served.add_stream()
    texts = saved_model.checked_texts(served)
    return saved_model.export(
        served,
        saved_model.Expected(texts, python(texts)),
        config.output,
        config.version,
        functools.partial(
            *(card.write,),
            **{"source": config.model, "command": shown_command.command(config)},
            **{"settings": settings, "about": _about(config)},
        ),
    )


if __name__ == "__main__":
    program.run(main, Config)
