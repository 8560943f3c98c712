"""Small vocabularies, trained on our corpus by the `tokenizers` package and saved as checkpoints have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .checkpoints import N_VOCAB
from .corpus import STRIPPED, TEXTS

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PATTERNS = {
    "llama-bpe": CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def write_byte_bpe(folder: Path, pre: str = "qwen2") -> Tokenizer:
    """Byte-level BPE that splits as `pre` does, with three special tokens and a plain added one."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre in ("gpt-2", "smollm"))
    steps: list[Any] = [byte_level]
    if pre in PATTERNS:
        steps.insert(0, pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated"))
    if pre == "smollm":
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    if pre == "llama-bpe":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", N_VOCAB - 20)]
        )
    trainer = trainers.BpeTrainer(
        vocab_size=N_VOCAB - 20, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS + STRIPPED, trainer)
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    config = {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": "<|endoftext|>" if pre == "llama-bpe" else None,
    }
    return _save(tokenizer, folder, config)


def write_sentencepiece_json(folder: Path, *, prefix: bool = True) -> Tokenizer:
    """What SentencePiece's BPE becomes as a tokenizer.json: merges over characters, bytes for the rest."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    steps: list[Any] = [normalizers.Replace(" ", "▁")]
    if prefix:
        steps.insert(0, normalizers.Prepend("▁"))
    tokenizer.normalizer = normalizers.Sequence(steps)
    specials = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=N_VOCAB - 10, special_tokens=[*specials, *(f"<0x{n:02X}>" for n in range(256))], show_progress=False,
        limit_alphabet=120, max_token_length=8,
    )  # fmt: skip
    # Merges over spaces would span words, which SentencePiece does not do either.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.train_from_iterator(TEXTS + STRIPPED, trainer)
    tokenizer.pre_tokenizer = None
    saved = json.loads(tokenizer.to_str())
    # The trainer calls all it was given special; of bytes that is not so.
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["content"] in specials]
    tokenizer = Tokenizer.from_str(json.dumps(saved))
    return _save(tokenizer, folder, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})


def write_wordpiece(folder: Path, *, cased: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased, strip_accents=False if cased else None)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=N_VOCAB, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(TEXTS + STRIPPED, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    return _save(tokenizer, folder, names)


def _save(tokenizer: Tokenizer, folder: Path, config: dict[str, Any]) -> Tokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer
