"""What the server and a model's worker say to each other.

Frames over a Unix socketpair: a 4-byte little-endian length, then that many
bytes of msgpack, a tagged struct.  Both ends use `FrameReader` and
`encode`; neither holds a socket here, so every rule is tested as a function.

The conversation::

    server                                   worker
      Load ---------------------------------->
      <------------------ Loading* (0.0 … 1.0)
      <-------------- Ready | LoadError (then the worker exits)
      Start(id) ----------------------------->
      <---------------------- Accepted(id) | Refused(id)
      <------ Prefilled(id)*  if that was asked for
      <---------- Step* (pieces of many ids at once)
      <--------------------------- Done(id)
      <---------- Paused   how many wait for room that had some
      <--------------------------- Alive   while it works and has nothing else to say
      Cancel(id) ---------------------------->   any time; a late id finds nobody
      <--------------------------- Done(id, "cancel") if it was still there
      Embed(id) ----------------------------->
      <----------------------- Accepted(id)
      <--- Embedded(id)* (vectors of the next few inputs)
      <---------------- Done(id) | Refused(id)
      Tokenize(id), Count(id), … ------------>
      <------------ Tokenized(id), Counted(id), …
      SlotAction(id) ------------------------>
      <---------------- SlotActed(id) | Refused(id)

Events carry sequence ids, never slots; ids are never used twice, so an event of
a cancelled sequence cannot be taken for another's.  End-of-file is the end of
either side.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

import msgspec

from power.events import Logprob
from power.grammar.expressions import Expr
from power.options import Sampling
from power.stream.blocks import Thinking

HEADER = struct.Struct("<I")
# Bytes. The largest frame is a prompt: HTTP bodies are limited far below this.
MAX_FRAME = 256 * 1024 * 1024
MODEL_DRAFT = 4  # tokens that a draft model drafts for a sequence, if its request does not say; Ollama's default


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """Load a model and make a context. The first command, and only once."""

    path: str
    n_slots: int  # sequences that decode at the same time
    n_ctx: int  # tokens one sequence may use; the worker cuts it to the trained context
    n_batch: int  # tokens one decode step may take
    n_threads: int  # 0: as many as there are cores to run on
    n_threads_batch: int
    n_gpu_layers: int  # -1: all
    main_gpu: int | None
    is_split: bool = True  # over all GPUs; else all of it is on `main_gpu`
    use_mmap: bool
    use_mlock: bool
    flash_attention: bool | None  # None: what suits (power.gguf.memory.attention)
    kv_type: str  # "f16", "q8_0", …: the KV cache's cells
    alive_seconds: float = 5.0  # while there is work, something is said at least this often
    adapters: tuple[tuple[str, float], ...] = ()  # LoRA files and how strongly each counts, 1.0 as it was trained
    n_pool: int = 0  # tokens all sequences may have together; 0: n_ctx for each slot
    disk_folder: str = ""  # where what was computed is kept for later workers
    disk_bytes: int = 0  # that may be there, for all models together; 0: nothing is kept
    n_draft: int = 0  # tokens that prompt lookup may draft in a step, for all sequences together; 0: none
    draft: str = ""  # a smaller model of the same vocabulary that drafts, too
    step_seconds: float = 0.1  # that a step should take while somebody waits for the next token
    embeds: bool = False  # for embeddings or scores alone: there will be no Start
    pooling: str = ""  # "mean", "cls" or "last"; empty: as the file says

    @property
    def n_drafts(self) -> int:
        """Tokens that may be drafted in a step by whatever means."""
        return self.n_draft + (MODEL_DRAFT * self.n_slots if self.draft and not self.embeds else 0)


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Generate. Parts of the prompt are text (special tokens are read as such) or token ids."""

    id: int
    slot: int = 0  # the number that its slot has outside
    prompt: tuple[str | tuple[int, ...], ...]
    sampling: Sampling
    n_predict: int  # tokens; negative: no limit but the context
    n_ctx: int  # tokens, prompt and answer together; 0: as many as were loaded
    stop: tuple[str, ...] = ()
    grammar: str = ""  # GBNF; empty: none
    rules: dict[str, Expr] = {}  # the same, read; without them nothing can be known ahead
    shift: bool = False  # go on when the context is full, without the oldest half of what is not kept
    n_keep: int = 0  # the prompt's first tokens that a shift keeps, BOS not counted; negative: all of the prompt
    n_draft: int = -1  # tokens that may be drafted for it in a step; negative: as many as are usual
    n_probs: int | None = None  # alternatives per token to report; None: no logprobs at all
    want_tokens: bool = False  # report the prompt's token ids in Accepted
    want_progress: bool = False  # report how far the prompt has been read
    deterministic: bool = False  # compute it apart, in steps that nothing else has a part in
    visible: tuple[str, ...] = ()  # texts whose control tokens show in the answer, where others leave no trace
    thinking: Thinking | None = None  # how the answer marks it, if it is to be bounded
    think_budget: int = -1  # tokens of thinking after which its end is written for the model; negative: no bound


class Embed(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """Make a vector of each input; with a query, a score of each input as an answer to it."""

    id: int
    inputs: tuple[str | tuple[int, ...], ...]  # token ids are taken as they are, nothing added
    query: str | None = None
    truncate: bool = True  # an input that is too long is cut; otherwise it is an error
    n_ctx: int = 0  # tokens an input may have; 0: as many as were loaded
    n_dims: int = 0  # of each vector, the first so many; 0: all
    normalize: bool = True  # to length one


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    id: int


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize"):
    id: int
    text: str
    add_special: bool = True  # what the vocabulary puts around a text
    parse_special: bool = True  # "<s>" in the text is the token, not three characters
    want_pieces: bool = False


class Count(msgspec.Struct, frozen=True, tag="count"):
    id: int
    text: str
    n_most: int  # about how many is enough to know of a text that has many more


class Detokenize(msgspec.Struct, frozen=True, tag="detokenize"):
    id: int
    tokens: tuple[int, ...]
    special: bool = False  # control tokens show, where others leave no trace


class SlotAction(msgspec.Struct, frozen=True, kw_only=True, tag="slot-action"):
    """Save what was computed for a slot's last sequence, give it back, or forget it."""

    id: int
    slot: int
    kind: Literal["save", "restore", "erase"]
    path: str = ""


Task = Start | Embed
"""What takes a slot, until its Done or Refused."""
Question = Tokenize | Count | Detokenize | SlotAction
"""What is answered at once, slots or no slots."""
Command = Load | Task | Cancel | Question


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    progress: float  # 0.0 … 1.0


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The model is in memory."""

    n_ctx: int  # tokens one sequence, or one input to embed, may use
    n_ctx_pool: int  # cells of the KV cache, shared by all sequences
    n_ctx_train: int
    n_vocab: int
    n_params: int
    model_bytes: int
    kv_bytes: int  # the KV cache's cells
    device_bytes: dict[str, int]  # allocated, by llama.cpp's names of devices: "CPU", "CUDA0", …
    on_gpu: bool  # llama.cpp was built for, and found, a GPU
    bos: str  # the BOS token's text, as templates want it
    eos: str
    load_ns: int

    @property
    def n_ctx_max(self) -> int:
        """Tokens one sequence may use if it says so."""
        return min(self.n_ctx_pool, self.n_ctx_train) if self.n_ctx_train > 0 else self.n_ctx_pool


class LoadError(msgspec.Struct, frozen=True, tag="load-error"):
    message: str


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    id: int
    n_prompt: int
    n_cached: int
    tokens: tuple[int, ...] = ()


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The sequence was not started; nothing of it remains in the worker."""

    id: int
    kind: Literal["too-long", "bad-request", "failed"]
    message: str
    field: str = ""
    n_prompt: int = 0
    n_ctx: int = 0


class Prefilled(msgspec.Struct, frozen=True, tag="prefilled"):
    """So much of the prompt is in the KV cache."""

    id: int
    n_prompt: int
    n_cached: int
    n_done: int  # tokens, the cached ones too
    ns: int  # since Accepted


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """What one step added to one sequence. Text may lag behind tokens (half a character, half a stop string)."""

    id: int
    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[Logprob, ...] = ()


class Step(msgspec.Struct, frozen=True, tag="step"):
    pieces: tuple[Piece, ...]


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The sequence has ended and its slot is free."""

    id: int
    reason: Literal["stop", "length", "cancel"]
    n_prompt: int
    n_cached: int
    n_generated: int
    prefill_ns: int
    decode_ns: int
    n_drafted: int = 0  # tokens looked up, of which `n_accepted` were right
    n_accepted: int = 0
    n_model_drafted: int = 0  # tokens of a draft model
    n_model_accepted: int = 0


class Embedded(msgspec.Struct, frozen=True, tag="embedded"):
    """Vectors of the next inputs, in the inputs' order."""

    id: int
    n_tokens: tuple[int, ...]  # of each input, what was added around it included
    n_dims: int
    vectors: bytes  # float32, little-endian, shape (len(n_tokens), n_dims)


class Paused(msgspec.Struct, frozen=True, tag="paused"):
    """Sequences had to give their room in the KV cache to others, or have got it back."""

    n_now: int  # that are without
    n_new: int  # times that it has happened since this was last told


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """The process works, though it has nothing to tell."""


class Tokenized(msgspec.Struct, frozen=True, tag="tokenized"):
    id: int
    tokens: tuple[int, ...]
    pieces: tuple[bytes, ...] = ()  # what each token stands for, if that was asked for


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    id: int
    n_tokens: int


class Detokenized(msgspec.Struct, frozen=True, tag="detokenized"):
    id: int
    text: str


class SlotActed(msgspec.Struct, frozen=True, tag="slot-acted"):
    id: int
    n_tokens: int  # that were saved, are there now, or were forgotten
    n_bytes: int  # of the file
    ns: int


Reply = Tokenized | Counted | Detokenized | SlotActed
"""The answer to a question, where it is not refused."""
Event = (
    Alive
    | Loading
    | Ready
    | LoadError
    | Accepted
    | Prefilled
    | Refused
    | Step
    | Done
    | Embedded
    | Tokenized
    | Counted
    | Detokenized
    | SlotActed
    | Paused
)

Message = TypeVar("Message")

_encoder = msgspec.msgpack.Encoder()


class WireError(Exception):
    """The other side does not speak this protocol."""


def encode(message: Command | Event) -> bytes:
    """One frame."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


class FrameReader(Generic[Message]):
    """Bytes in, messages out; cut the stream as you like."""

    def __init__(self, type: type[Message]) -> None:
        self._decoder = msgspec.msgpack.Decoder(type)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes; yield every message they complete.

        Raises:
            WireError: a frame beyond MAX_FRAME, or one that is no message.
        """
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= HEADER.size:
                (length,) = HEADER.unpack_from(self._buffer, start)
                if length > MAX_FRAME:
                    raise WireError(f"a frame of {length} bytes")
                end = start + HEADER.size + length
                if len(self._buffer) < end:
                    return
                body = bytes(self._buffer[start + HEADER.size : end])
                start = end
                yield self._decode(body)
        finally:
            # One move for all frames taken, also when the caller stops early.
            del self._buffer[:start]

    def _decode(self, body: bytes) -> Message:
        try:
            return self._decoder.decode(body)
        except msgspec.DecodeError as error:
            raise WireError(str(error)) from None


def command_reader() -> FrameReader[Command]:
    return FrameReader(Command)  # type: ignore[arg-type]  # a union of types is no `type` to mypy


def event_reader() -> FrameReader[Event]:
    return FrameReader(Event)  # type: ignore[arg-type]  # a union of types is no `type` to mypy
