"""How a model speaks: the template that makes its prompt, and by that its marks of thinking and of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from power.grammar.dialects import Dialect, written
from power.prompt import Choice, choose, continues_thinking, find_dialect, find_marks
from power.store import StoredModel
from power.stream.blocks import Thinking
from power.stream.channels import speaks_in_channels
from power.stream.thinking import prompt_opens_thinking

if TYPE_CHECKING:
    from power.planning import Generation


def template_of(stored: StoredModel, request: Generation) -> Choice | None:
    """What makes the prompt; None: nothing has to."""
    if request.raw:
        return None
    if request.template:
        return Choice("go", request.template)
    return choose(stored, tools=bool(request.tools))


def thinking_of(stored: StoredModel, template: Choice | None, prompt: str, request: Generation) -> Thinking | None:
    """How the answer marks thinking that is to be told from the rest; None: it does not think."""
    if template is None or request.suffix:
        return None
    # A template of the request's own seldom shows past thinking; the model thinks as it always does.
    marks = find_marks(template) or find_marks(choose(stored))
    if marks is None:
        return None
    begun = prompt_opens_thinking(prompt, (marks.open, marks.close)) or continues_thinking(request.messages or ())
    channels = speaks_in_channels(template.text)
    return Thinking(open=marks.open, close=marks.close, ending=marks.ending, begun=begun, channels=channels)


def dialect_of(stored: StoredModel, template: Choice | None) -> Dialect | None:
    """How the answer writes calls: by the template that made the prompt, or by the parser that the model names."""
    if template is None:
        return None
    if (found := find_dialect(template)) is not None:
        return found
    named = written(stored.config.parser)
    return named.dialect if named else None
