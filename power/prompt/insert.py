"""Fill in the middle: the prompt for what goes between two texts."""

from __future__ import annotations

from power.errors import BadRequest
from power.prompt import gotemplate
from power.prompt.choose import Choice, Templated


def render_insert(model: Templated, prompt: str, suffix: str, template: Choice | None = None) -> str:
    """By `template`, or the model's own Go template if that knows suffixes, else with its tokens for it.

    Raises:
        BadRequest: it has neither, or the template fails.
    """
    if template is not None:
        return gotemplate.render_insert(template.text, prompt, suffix)
    if model.template and "insert" in gotemplate.capabilities(model.template):
        return gotemplate.render_insert(model.template, prompt, suffix)
    if not model.facts.fim_tokens:
        raise BadRequest("the model does not support insert", field="suffix")
    before, after, middle = model.facts.fim_tokens
    return f"{before}{prompt}{after}{suffix}{middle}"
