"""Fill in the middle: the prompt for what goes between two texts."""

from __future__ import annotations

from power.errors import BadRequest
from power.prompt import gotemplate
from power.prompt.choose import Templated


def render_insert(model: Templated, prompt: str, suffix: str) -> str:
    """By the model's Go template if that knows suffixes, else with its tokens for it.

    Raises:
        BadRequest: it has neither, or the template fails.
    """
    if model.template and "insert" in gotemplate.capabilities(model.template):
        return gotemplate.render_insert(model.template, prompt, suffix)
    if not model.facts.fim_tokens:
        raise BadRequest("the model does not support insert", field="suffix")
    before, after, middle = model.facts.fim_tokens
    return f"{before}{prompt}{after}{suffix}{middle}"
