"""`power gguf`: look into model files, change them, and judge them.

Only signatures and help, like `power.cli.app`: each command brings in the rest itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

EPILOGUE = """\
A FILE is a path, any file of a split model, or the name of a model there is.

Examples:
  power gguf show tiny                     What a model is, and how we know
  power gguf get model.gguf llama.context_length
  power gguf set model.gguf tokenizer.chat_template @template.jinja
  power gguf verify model.gguf             Is it whole, are its numbers numbers?
  power gguf estimate model.gguf --ctx 32768 --parallel 4
  power gguf convert ./Qwen3-0.6B qwen3.gguf --type q8_0
"""
SHOW_EPILOGUE = """\
Examples:
  power gguf show tiny
  power gguf show model.gguf --tensors
  power gguf show model.gguf --json | jq .metadata
"""
GET_EPILOGUE = """\
Examples:
  power gguf get model.gguf general.name
  power gguf get model.gguf tokenizer.chat_template > template.jinja
  power gguf get model.gguf tokenizer.ggml.tokens | jq length
"""
SET_EPILOGUE = """\
The new value has the type of the old one. Of a new key it is what VALUE looks
like: true or false, a whole number, a number, a JSON list of those, or text;
--type says otherwise. @PATH stands for what is in that file.

The file is written anew beside the old one, which it replaces when it is whole.

Examples:
  power gguf set model.gguf general.name "My model"
  power gguf set model.gguf llama.context_length 8192 --output longer.gguf
  power gguf set model.gguf tokenizer.chat_template @template.jinja
  power gguf set model.gguf tokenizer.ggml.add_bos_token false --type bool
"""
REMOVE_EPILOGUE = """\
Examples:
  power gguf remove model.gguf general.url general.description
  power gguf remove model.gguf tokenizer.chat_template --output bare.gguf
"""
SPLIT_EPILOGUE = """\
Examples:
  power gguf split model.gguf parts/model --max-size 2G
  power gguf split model.gguf parts/model --max-tensors 100 --empty-first
"""
MERGE_EPILOGUE = """\
Examples:
  power gguf merge model-00001-of-00003.gguf model.gguf
"""
VERIFY_EPILOGUE = """\
The status is 0 if all is well, and 1 if anything is wrong.

Examples:
  power gguf verify model.gguf
  power gguf verify model.gguf --hashes > before.txt
  power gguf verify model.gguf --quick
"""
CONVERT_EPILOGUE = """\
Examples:
  power gguf convert ./Qwen3-0.6B qwen3.gguf
  power gguf convert ./Qwen3-0.6B qwen3.gguf --type q8_0
  power gguf convert ./my-lora lora.gguf --base ./Qwen3-0.6B
"""
ESTIMATE_EPILOGUE = """\
Examples:
  power gguf estimate tiny
  power gguf estimate model.gguf --ctx 32768 --parallel 4 --kv-type q8_0
  power gguf estimate model.gguf --gpu-layers 20
  power gguf estimate model.gguf --available 16G
"""
OUTPUT = Parameter(name=["--output", "-o"])
CACHE_TYPES = Literal["f32", "f16", "bf16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "iq4_nl"]

app = App(
    name="gguf",
    sort_key=6,
    help="Look into model files, change them, and judge them.",
    help_epilogue=EPILOGUE,
    group_commands=Group("Commands", sort_key=0),
)


@app.command(sort_key=0, help_epilogue=SHOW_EPILOGUE)
def show(file: str, /, *, tensors: bool = False, json: bool = False) -> None:
    """Show what a file says of its model, its metadata, and its tensors.

    Parameters
    ----------
    file
        A path, or a model's name.
    tensors
        List every tensor, not only how many there are of each type.
    json
        Everything as JSON; of long arrays only what they are.
    """
    from power.cli.gguf_show import show_file

    show_file(file, tensors=tensors, as_json=json)


@app.command(sort_key=1, help_epilogue=GET_EPILOGUE)
def get(file: str, key: str, /) -> None:
    """Print one value of the metadata: text as it is, anything else as JSON.

    Parameters
    ----------
    file
        A path, or a model's name.
    key
        Such as general.name.
    """
    from power.cli.gguf_edit import get_value

    get_value(file, key)


@app.command(name="set", sort_key=2, help_epilogue=SET_EPILOGUE)
def set_(
    file: Path, key: str, value: str, /, *, type: str | None = None, output: Annotated[Path | None, OUTPUT] = None
) -> None:
    """Change a value of the metadata, or add one.

    Parameters
    ----------
    file
        A path.
    key
        Such as general.name.
    value
        The new value, or @PATH of a file that holds it.
    type
        bool, string, uint8 to uint64, int8 to int64, float32, float64; of an array that of its items.
    output
        Write here, and leave the file as it is.
    """
    from power.cli.gguf_edit import set_value

    set_value(file, key, value, kind=type, out=output)


@app.command(sort_key=3, help_epilogue=REMOVE_EPILOGUE)
def remove(file: Path, /, *keys: str, output: Annotated[Path | None, OUTPUT] = None) -> None:
    """Remove values from the metadata.

    Parameters
    ----------
    file
        A path.
    keys
        Those to remove; each has to be there.
    output
        Write here, and leave the file as it is.
    """
    from power.cli.gguf_edit import remove_values

    remove_values(file, keys, out=output)


@app.command(sort_key=4, help_epilogue=SPLIT_EPILOGUE)
def split(
    file: str,
    prefix: Path,
    /,
    *,
    max_size: str | None = None,
    max_tensors: int | None = None,
    empty_first: bool = False,
    force: bool = False,
) -> None:
    """Split a model into files PREFIX-00001-of-0000N.gguf, as llama.cpp loads them.

    Parameters
    ----------
    file
        A path, or a model's name.
    prefix
        What the names of the new files begin with.
    max_size
        Of the tensors of one file, such as 500M or 2G.
    max_tensors
        Of one file.
    empty_first
        The first file has the metadata only.
    force
        Replace files that are there.
    """
    from power.cli.gguf_files import split_file

    split_file(file, prefix, max_size=max_size, max_tensors=max_tensors, empty_first=empty_first, force=force)


@app.command(sort_key=5, help_epilogue=MERGE_EPILOGUE)
def merge(file: Path, out: Path, /, *, force: bool = False) -> None:
    """Put a split model together into one file.

    Parameters
    ----------
    file
        Any one of its files.
    out
        The new file.
    force
        Replace a file that is there.
    """
    from power.cli.gguf_files import merge_files

    merge_files(file, out, force=force)


@app.command(sort_key=6, help_epilogue=VERIFY_EPILOGUE)
def verify(file: str, /, *, quick: bool = False, hashes: bool = False, json: bool = False) -> int:
    """Check a file: its structure, every range, and that all its numbers are numbers.

    Parameters
    ----------
    file
        A path, or a model's name.
    quick
        Do not read the tensors.
    hashes
        Print the SHA-256 of the file, and of every tensor's bytes.
    json
        The findings as JSON.
    """
    from power.cli.gguf_verify import verify_file

    return verify_file(file, quick=quick, hashes=hashes, as_json=json)


@app.command(sort_key=7, help_epilogue=CONVERT_EPILOGUE)
def convert(
    checkpoint: Path,
    out: Path,
    /,
    *,
    type: Literal["f32", "f16", "bf16", "q8_0"] = "f16",
    base: Path | None = None,
    force: bool = False,
) -> None:
    """Convert a Hugging Face checkpoint, or a LoRA adapter, to a GGUF file.

    Parameters
    ----------
    checkpoint
        The directory with config.json and safetensors.
    out
        The new file.
    type
        Of the matrices: f32, f16 (unless given), bf16 or q8_0.
    base
        The checkpoint that an adapter adapts.
    force
        Replace a file that is there.
    """
    from power.cli.gguf_files import convert_checkpoint

    convert_checkpoint(checkpoint, out, kind=type, base=base, force=force)


@app.command(sort_key=8, help_epilogue=ESTIMATE_EPILOGUE)
def estimate(
    file: str,
    /,
    *,
    ctx: int | None = None,
    parallel: int | None = None,
    gpu_layers: int = 0,
    kv_type: CACHE_TYPES | None = None,
    batch: int = 512,
    projector: Path | None = None,
    available: str | None = None,
    json: bool = False,
) -> None:
    """Say how much memory a model will take, and how long a context fits.

    Parameters
    ----------
    file
        A path, or a model's name.
    ctx
        Tokens of each request (as configured, or 4096).
    parallel
        Requests answered at once (as configured, or 4).
    gpu_layers
        Layers on the GPU, from the output backwards; -1 for all.
    kv_type
        Of the cache's cells (as configured, or f16).
    batch
        Tokens computed at once.
    projector
        The file of a projector (mmproj) to be loaded beside it.
    available
        Memory there is, such as 16G (what this machine has left).
    json
        The numbers as JSON, in bytes.
    """
    from power.cli.gguf_estimate import Question, estimate_file

    estimate_file(
        file,
        Question(
            n_ctx=ctx,
            n_slots=parallel,
            n_gpu_layers=gpu_layers,
            kv_type=kv_type,
            n_batch=batch,
            projector=projector,
            available=available,
        ),
        as_json=json,
    )
