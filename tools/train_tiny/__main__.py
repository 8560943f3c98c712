"""Make the embedded model from nothing: `python -m tools.train_tiny`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenizers import Tokenizer

from . import card, export, render, tokens, train
from .conversations import conversation
from .draw import Draw
from .model import Shape, n_parameters

N_VOCAB = 1536
N_SPACED = 192  # of them a common word with a space before it
N_VOCAB_SAMPLES = 20_000  # conversations the vocabulary is learnt from
N_STEPS = 9000
SHAPE = Shape(n_vocab=N_VOCAB)
STAGES = ["vocabulary", "train", "export", "evaluate", "card"]
MODEL = Path(__file__).parents[2] / "power" / "data" / "tiny.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train_tiny", description=__doc__)
    parser.add_argument("stages", nargs="*", default=STAGES, help="also: resume, which takes what --model holds")
    parser.add_argument("--work", type=Path, default=Path("build/tiny"), help="checkpoints and logs")
    parser.add_argument("--model", type=Path, default=MODEL, help="the GGUF file to write and to evaluate")
    parser.add_argument("--steps", type=int, default=N_STEPS)
    parser.add_argument("--minutes", type=float, default=100, help="end the training by then, finished or not")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--done", type=int, default=0, help="go on with the weights in --work after so many steps")
    parser.add_argument("--chunk", type=int, default=0, help="... and with this chunk of the data")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    vocabulary = options.work / "tokenizer.json"
    for stage in options.stages:
        print(f"== {stage}", flush=True)
        if stage == "resume":
            export.read_tokenizer(options.model).save(str(vocabulary))
            train.save(export.read(options.model, SHAPE), options.work / "weights.npz")
        elif stage == "vocabulary":
            learn_vocabulary(options.seed).save(str(vocabulary))
        elif stage == "train":
            train.train(
                SHAPE,
                tokens.load(vocabulary),
                n_steps=options.steps,
                minutes=options.minutes,
                seed=options.seed,
                out=options.work,
                n_done=options.done,
                chunk=options.chunk,
            )
        elif stage == "export":
            params = train.load(options.work / "weights.npz")
            export.write(options.model, params, SHAPE, tokens.load(vocabulary))
            print(f"{options.model}: {n_parameters(params)} parameters, {options.model.stat().st_size} bytes")
        elif stage == "evaluate":
            from . import evaluate  # needs llama-cpp-python, which the other stages do not

            evaluate.report(options.model, work=options.work)
        elif stage == "card":
            card.write(options.model.with_suffix(".md"), SHAPE, work=options.work, model=options.model)
        else:
            parser.error(f"no stage {stage!r}")


def learn_vocabulary(seed: int) -> Tokenizer:
    texts = ("".join(render.split(conversation(Draw(f"vocabulary/{seed}/{i}")))) for i in range(N_VOCAB_SAMPLES))
    return tokens.train(texts, n_vocab=N_VOCAB, n_spaced=N_SPACED)


if __name__ == "__main__":
    main()
