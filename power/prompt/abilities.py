"""What a model can do, as far as the template that serves it shows it."""

from __future__ import annotations

import logging
from functools import lru_cache

from power.errors import BadRequest
from power.gguf.capabilities import template_capabilities
from power.prompt import gotemplate
from power.prompt.choose import Choice, Templated, served
from power.prompt.thinking import find_tags

log = logging.getLogger(__name__)


def capabilities(model: Templated) -> tuple[str, ...]:
    """Of "tools", "thinking" and "insert" those that the model's templates take.

    A Go template may insert even where the Jinja one serves conversations.
    """
    found = [ability for template in served(model) for ability in abilities(template)]
    if model.template and "insert" in abilities(Choice("go", model.template)):
        found.append("insert")
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=256)
def abilities(template: Choice) -> tuple[str, ...]:
    """What one template takes."""
    if template.engine == "go":
        try:
            return gotemplate.capabilities(template.text)
        except BadRequest as error:
            log.warning("a Go template cannot be used: %s", error.message)
            return ()
    found = template_capabilities(template.text)
    return (*found, "thinking") if find_tags(template) else tuple(found)
