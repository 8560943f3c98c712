"""The shipped file's scores: llama.cpp, temperature 0, the template from the file itself, exact answers only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

# libgomp's threads would otherwise spin between tokens; read when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import llama_cpp  # after the line above
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .cases import Case, all_cases

N_CTX = 2048
MAX_TOKENS = 400
CALL = "<tool_call>\n"


@dataclass(frozen=True)
class Outcome:
    """One case's answer, taken apart."""

    group: str
    right: bool
    ended: bool
    thought: bool
    thinking: bool
    wanted: str
    text: str
    question: str


@dataclass(frozen=True)
class Score:
    title: str
    right: int
    n: int


class Player:
    """The model file, opened."""

    def __init__(self, model: Path) -> None:
        # One thread: for so small a model, waiting for a second costs more than it brings.
        self._llama = llama_cpp.Llama(str(model), n_ctx=N_CTX, n_threads=1, n_threads_batch=1, verbose=False)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(self._llama.metadata["tokenizer.chat_template"])

    def prompt(self, case: Case) -> str:
        return self._template.render(
            messages=case.messages, tools=case.tools or None, add_generation_prompt=True, enable_thinking=case.thinking
        )

    def write(self, prompt: str) -> tuple[str, bool]:
        """What the model writes, and whether it ended by itself."""
        tokens = self._llama.tokenize(prompt.encode(), add_bos=False, special=True)
        room = min(MAX_TOKENS, N_CTX - len(tokens))
        written: list[int] = []
        for token in self._llama.generate(tokens, temp=0.0):
            if token == self._llama.token_eos() or len(written) == room:
                break
            written.append(token)
        text = self._llama.detokenize(written).decode("utf-8", "replace")
        return text, len(written) < room

    def play(self, case: Case) -> Outcome:
        prompt = self.prompt(case)
        text, ended = self.write(prompt)
        thought = text.startswith("<think>\n") and "\n</think>\n\n" in text
        said = text.split("\n</think>\n\n", 1)[-1] if thought else text
        wanted = case.content + "".join(f" {name}({json.dumps(arguments)})" for name, arguments in case.calls)
        right = _judge(case, said)
        question = str(case.messages[-1]["content"])
        return Outcome(case.group, right, ended, "<think>" in text, case.thinking, wanted, text, question)


def _judge(case: Case, said: str) -> bool:
    content, *blocks = said.split(CALL)
    try:
        calls = [json.loads(block.split("\n</tool_call>")[0]) for block in blocks]
        made = [(call["name"], call["arguments"]) for call in calls]
    except (ValueError, KeyError, TypeError):
        return False
    return content.strip() == case.content.strip() and made == case.calls


def scores(outcomes: list[Outcome]) -> list[Score]:
    """One line for each group, in order, then those over all cases."""
    groups = dict.fromkeys(o.group for o in outcomes)
    lines = [_score(group, [o for o in outcomes if o.group == group], lambda o: o.right) for group in groups]
    on, off = [o for o in outcomes if o.thinking], [o for o in outcomes if not o.thinking]
    lines.append(_score("Thinks first when thinking is on", on, lambda o: o.thought and o.text.startswith("<think>\n")))
    lines.append(_score("Does not think when thinking is off", off, lambda o: not o.thought))
    lines.append(_score("Ends with the end token", outcomes, lambda o: o.ended))
    return lines


def _score(title: str, outcomes: list[Outcome], good: Callable[[Outcome], bool]) -> Score:
    return Score(title, sum(good(o) for o in outcomes), len(outcomes))


def report(model: Path, *, work: Path) -> list[Score]:
    """Play every case; `work` gets `scores.json`, and `outcomes.jsonl` to read where it goes wrong."""
    player = Player(model)
    outcomes = [player.play(case) for case in all_cases()]
    with (work / "outcomes.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(o), ensure_ascii=False) + "\n" for o in outcomes)
    lines = scores(outcomes)
    (work / "scores.json").write_text(json.dumps([asdict(s) for s in lines], indent=1) + "\n", encoding="utf-8")
    for s in lines:
        print(f"{s.title:75} {s.right:5}/{s.n:<5} {100 * s.right / s.n:5.1f} %")
    return lines
