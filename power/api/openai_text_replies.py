"""What `/v1/completions` answers: the chat's frame around plain text."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from power.api.answer import Answer
from power.api.encode import logprob
from power.api.openai_replies import DONE, Completion, OpenAIEncoder, Usage, usage_of
from power.events import Finished, Logprob, Text


class TextLogprobs(msgspec.Struct, frozen=True):
    """The older form: parallel lists over the tokens."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]  # characters


class TextChoice(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    index: int = 0
    reasoning: str | UnsetType = UNSET
    finish_reason: str | None = None
    logprobs: TextLogprobs | None = None


class CompletionEncoder(OpenAIEncoder):
    prefix = "cmpl"
    objects = ("text_completion", "text_completion")

    def __init__(
        self, model: str, *, include_usage: bool = False, has_logprobs: bool = False, echoes: tuple[str, ...] = ()
    ) -> None:
        """`echoes`: what each of the answers begins with; empty: none does."""
        super().__init__(model, include_usage=include_usage, has_logprobs=has_logprobs)
        self._echoes = echoes
        self._is_first = True
        self._offset = 0  # characters of the text before

    def text(self, event: Text) -> bytes:
        content = self._echo() + event.content
        if not (content or event.thinking or event.content_logprobs):
            return b""
        choice = self._choice(content, event.thinking, event.content_logprobs)
        return self._event([choice])

    def nothing(self) -> TextChoice:
        return TextChoice(text="", index=self._index)

    def last(self, event: Finished) -> bytes:
        choice = TextChoice(text=self._echo(), index=self._index, finish_reason=event.reason)
        return self._event([choice], format_ignored=event.format_ignored or UNSET)

    def whole(self, answers: list[Answer], usage: Usage) -> Completion:
        """All of the answers to all prompts as one object: those to the first prompt, to the second, and so on."""
        choices = [self.choice(index)._whole(answer) for index, answer in enumerate(answers)]
        return self.finished_whole(choices, answers, usage)

    def loaded(self) -> Completion:
        """The object that answers a request without a prompt."""
        return self.completion([TextChoice(text="", finish_reason="load")], whole=True, usage=usage_of(None))

    def load_event(self) -> bytes:
        """The stream that answers a request without a prompt."""
        return self._event([TextChoice(text="", finish_reason="load")]) + DONE

    def rendered(self, info: Any) -> Completion:
        """The object that answers a request for the rendered prompt alone."""
        return self.completion([TextChoice(text="")], whole=True, debug_info=info)

    def _echo(self) -> str:
        """What the answer begins with, when it begins."""
        begins, self._is_first = self._is_first, False
        return self._echoes[self._index] if begins and self._echoes else ""

    def _whole(self, answer: Answer) -> TextChoice:
        content = self._echo() + answer.content
        return self._choice(content, answer.thinking, answer.content_logprobs, answer.finished.reason)

    def _choice(
        self, content: str, thinking: str, logprobs: tuple[Logprob, ...], finish_reason: str | None = None
    ) -> TextChoice:
        wants = logprobs or (self._has_logprobs and finish_reason)
        return TextChoice(
            text=content,
            index=self._index,
            reasoning=thinking or UNSET,
            finish_reason=finish_reason,
            logprobs=self._logprobs(logprobs) if wants else None,
        )

    def _logprobs(self, items: tuple[Logprob, ...]) -> TextLogprobs:
        offsets = []
        for item in items:
            offsets.append(self._offset)
            self._offset += len(item.token)
        replies = [logprob(item, always_top=True) for item in items]
        return TextLogprobs(
            [item.token for item in replies],
            [item.logprob for item in replies],
            [{top.token: top.logprob for top in item.top_logprobs or ()} for item in replies],
            offsets,
        )
