"""Whole conversations: skills and tools put in order, with a system message or without, with thinking or without.

The last message is what tiny has to say next; all before it is its prompt.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from . import memories, numbers, skills, toolbox, turns, unknowns
from .draw import Draw
from .toolbox import Asked
from .turns import Memory, Turn

Message = dict[str, object]
Skill = Callable[[Draw, Memory], Turn]


@dataclass
class Conversation:
    """Messages in the shape of the chat APIs; `thinking` is the template's `enable_thinking`."""

    messages: list[Message]
    tools: list[toolbox.JSON] = field(default_factory=list)
    thinking: bool = False
    skill: str = ""  # of the last message

    def say(self, turn: Turn) -> None:
        self.messages.append({"role": "user", "content": turn.user})
        self.reply(turn.answer, turn.thought, turn.skill)

    def reply(self, content: str, thought: str, skill: str, **more: object) -> None:
        self.messages.append({"role": "assistant", "content": content, "reasoning_content": thought, **more})
        self.skill = skill


SKILLS: dict[Skill, float] = {
    skills.greeting: 4, skills.identity: 6, skills.abilities: 3, skills.small_talk: 9, skills.fact: 24,
    memories.never_told: 3, skills.repeat: 8,
    numbers.addition: 20, numbers.no_sum: 4, numbers.count: 10, skills.as_json: 3,
    unknowns.unknown: 12, unknowns.empty: 1,
}  # fmt: skip
# What may be said while tools are listed: nothing that a tool of the list could be meant for.
WITH_TOOLS: dict[Skill, float] = {
    skills.greeting: 4, skills.identity: 3, skills.abilities: 2, skills.small_talk: 6, skills.fact: 4,
    memories.never_told: 1,
}  # fmt: skip
SYSTEM = (
    "You are a helpful assistant.", "You are helpful.", "Answer briefly.", "You are a friendly assistant.",
    "Be polite and short.",
    "You are an AI assistant that helps people.", "Answer in English.", "Be concise.",
    "You are a helpful AI assistant with access to tools.",
    "Use the tools when they help.", "You are an expert.", "Keep your answers short.", "Always tell the truth.",
    "Think carefully.",
)  # fmt: skip
PERSONA = (
    "You are {x}.", "Your name is {x}.", "You are {x}, a helpful assistant.", "You are an assistant called {x}.",
    "You are called {x}.",
    "You are {x} from {y}. Answer as {x} only.", "Act as {x}.", "You are {x} and you love the {w}.",
    "You are {x}, the assistant.", "You are a friendly assistant named {x}.", "You are an AI named {x}.",
    "You are a helpful assistant called {x}.", "You are a helpful AI assistant named {x}. Be kind.",
    "You are a helpful assistant. Your name is {x}.", "You are named {x}.", "You are {x}. Be polite.",
    "You are {x}. Answer briefly.",
    "You are {x}. Be friendly.", "You are a helpful assistant named {x}.",
)  # fmt: skip


NONE_FITS = 0.08  # of conversations with tools begin, and end, with a request that no tool is for
LONG = 0.04
# Of conversations of one turn: what is hard to learn is asked more often.
SINGLE: dict[Skill, float] = {
    skills.greeting: 7, skills.identity: 6, skills.abilities: 3, skills.small_talk: 18, skills.fact: 42,
    memories.never_told: 4, skills.repeat: 12, numbers.addition: 34, numbers.no_sum: 6, numbers.count: 14,
    skills.as_json: 5, unknowns.unknown: 14, unknowns.empty: 1,
}  # fmt: skip


def conversation(
    draw: Draw, *, tools: float = 0.45, drills: float = 0.0, sums: float = 0.0, single: float = 0.0
) -> Conversation:
    """Any conversation; the shares of mere copying, of mere sums, of those with tools, of one turn among the others."""
    if draw.chance(drills):
        talk = Conversation([], thinking=draw.chance(0.2))
        talk.say(skills.drill(draw))
        return talk
    if sums and draw.chance(sums):
        return _sums(draw)
    if draw.chance(tools):
        return with_tools(draw)
    if single and draw.chance(single):
        return one_turn(draw)
    # A few talks are long, so that things are recalled among many others.
    return chat(draw, most=64 if draw.chance(LONG) else 7)


def _opened(draw: Draw, *, persona: float = 0.1) -> tuple[Conversation, Memory]:
    memory = Memory()
    messages: list[Message] = []
    if draw.chance(persona):
        memory.persona = draw.split(draw.name)
        text = draw.wording(PERSONA).format(x=memory.persona, y=draw.city(), w=draw.word())
        messages = [{"role": "system", "content": text}]
    elif draw.chance(0.33):
        text = draw.any(SYSTEM) if draw.chance(0.7) else f"{draw.any(SYSTEM)} {draw.phrase(2, 12).capitalize()}."
        messages = [{"role": "system", "content": text}]
    return Conversation(messages, thinking=draw.chance(0.5)), memory


# ---- without tools ------------------------------------------------------------


def _sums(draw: Draw) -> Conversation:
    talk = Conversation([], thinking=draw.chance(0.5))
    # With thinking only the last one's steps are seen.
    for _ in range(draw.any((1, 1, 2)) if talk.thinking else draw.number(1, 8)):
        talk.say(numbers.addition(draw, Memory()))
    return talk


def one_turn(draw: Draw) -> Conversation:
    talk, memory = _opened(draw, persona=0.2)
    skill: Skill = draw.random.choices(list(SINGLE), list(SINGLE.values()))[0]
    if memory.persona and draw.chance(0.7):
        skill = draw.any((skills.identity, skills.greeting))
    talk.say(skill(draw, memory))
    return talk


def chat(draw: Draw, *, most: int) -> Conversation:
    talk, memory = _opened(draw)
    told: dict[str, memories.Told] = {}
    for _ in range(draw.number(1, most)):
        talk.say(_next_turn(draw, memory, told))
    return talk


def _next_turn(draw: Draw, memory: Memory, told: dict[str, memories.Told]) -> Turn:
    if told and draw.chance(0.4):
        return memories.recall(draw, draw.any(list(told.values())))
    if draw.chance(0.22):
        new = memories.tell(draw)
        told[new.key] = new
        memory.told[new.key] = new.answer
        return memories.told_turn(draw, new)
    if memory.persona and draw.chance(0.3):
        return skills.identity(draw, memory)
    return draw.random.choices(list(SKILLS), list(SKILLS.values()))[0](draw, memory)


# ---- with tools -----------------------------------------------------------------


def tool_list(draw: Draw, n: int, *, real: float = 0.5, tutorial: float = toolbox.TUTORIAL) -> list[Asked]:
    """`n` tools with different names, each with a request for it."""
    found: dict[str, Asked] = {}
    while len(found) < n:
        asked = toolbox.any_tool(draw, real=real, tutorial=tutorial)
        clash = any(a.topic == asked.topic and asked.topic != "math" for a in found.values())
        # A calculator can do what the other tools of its kind can.
        clash |= any(
            {"expression", "formula", "input", "expr"} & set(a.arguments) and a.topic == "math"
            for a in (*found.values(), asked)
        ) and bool([a for a in found.values() if a.topic == asked.topic == "math"])
        if not clash:
            found.setdefault(asked.name, asked)
    return list(found.values())


def with_tools(draw: Draw) -> Conversation:
    talk, memory = _opened(draw)
    n = draw.any((1, 1, 1, 2, 2, 3, 4))
    # Some lists are those of the tutorials, whose few tools stand beside each other.
    asked = tool_list(draw, n, real=1.0, tutorial=0.9) if draw.chance(0.15) else tool_list(draw, n)
    talk.tools = [a.tool for a in asked]
    left = draw.random.sample(asked, len(asked))
    if draw.chance(NONE_FITS):
        talk.say(_without_tool(draw, asked))
        return talk
    # A list of tools is long, so it is used several times; the same tool again is asked for by its name.
    for _ in range(draw.any((1, 1, 2, 3, 4))):
        if left and draw.chance(0.8):
            _use(draw, talk, left.pop(), stop=False)
        elif draw.chance(0.6):
            _use(draw, talk, toolbox.by_name(draw, draw.any(asked)), stop=False)
        elif draw.chance(0.55):
            talk.say(_without_tool(draw, asked))
        else:
            talk.say(draw.random.choices(list(WITH_TOOLS), list(WITH_TOOLS.values()))[0](draw, memory))
    if talk.skill == "tool result" and draw.chance(0.65):
        # Stop at the call; it may be one of two, each with its response after it.
        while talk.messages[-1]["role"] == "tool" or not talk.messages[-1].get("tool_calls"):
            talk.messages.pop()
        talk.skill = "tool call"
    return talk


def _use(draw: Draw, talk: Conversation, asked: Asked, *, stop: bool) -> None:
    """A request, its call, and unless `stop` the tool's response and what tiny makes of it."""
    talk.messages.append({"role": "user", "content": _typed(draw, asked.request)})
    calls = [(asked.name, asked.arguments)] + ([asked.second] if asked.second else [])
    as_text = draw.chance(0.3)
    tool_calls = [
        {"type": "function", "function": {"name": n, "arguments": json.dumps(a, ensure_ascii=False) if as_text else a}}
        for n, a in calls
    ]
    talk.reply("", f"I need the tool {asked.name}.", "tool call", tool_calls=tool_calls)
    if stop:
        return
    said = []
    if not draw.chance(0.5):
        talk.messages[-1]["kept"] = True
    for name, _ in calls:
        content, spoken = toolbox.response(draw)
        talk.messages.append({"role": "tool", "content": content})
        said.append(toolbox.told(name, spoken))
    talk.reply(" ".join(said), "The tool has answered.", "tool result")


def tool_call(draw: Draw, asked: list[Asked], which: int, *, thinking: bool, result: bool) -> Conversation:
    """For the evaluation: one request for one tool of the list, up to the call or up to the answer."""
    talk = Conversation([], [a.tool for a in asked], thinking)
    _use(draw, talk, asked[which], stop=not result)
    return talk


def _without_tool(draw: Draw, listed: list[Asked]) -> Turn:
    """A request that no tool of the list is for."""
    while True:
        other = toolbox.any_tool(draw)
        if not any(other.topic == a.topic or other.name == a.name for a in listed):
            return Turn(
                _typed(draw, other.request), "No tool fits and I do not know that.", unknowns.UNKNOWN, "no tool"
            )


def _typed(draw: Draw, request: str) -> str:
    if draw.chance(0.1):
        request = request[0].lower() + request[1:] if request else request
    if draw.chance(0.08):
        request = draw.any(turns.BEFORE) + request
    return request
