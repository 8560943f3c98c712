"""What the finished model is asked: only words, values, wordings and tools that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import conversations, facts, memories, numbers, skills, toolbox, unknowns
from .conversations import Conversation, Message
from .draw import Draw, is_held_out
from .turns import Memory, Turn

JSON = dict[str, object]


@dataclass(frozen=True)
class Case:
    """A prompt and the one right answer: `content` and the tool calls."""

    group: str
    messages: list[Message]
    tools: list[JSON]
    thinking: bool
    content: str
    calls: list[tuple[str, JSON]]


def all_cases(seed: str = "evaluation") -> Iterator[Case]:
    draw = Draw(seed, held_out=True)
    yield from _skill(draw, "Greets", skills.greeting, 30)
    yield from _skill(draw, "Says who it is", skills.identity, 30)
    yield from _skill(draw, "Says what it can do", skills.abilities, 20)
    yield from _skill(draw, "Small talk, joke, poem, story, lists", skills.small_talk, 60)
    yield from _recall(draw, "Recalls a name told earlier (unseen names)", (memories.tell_name,), 100)
    yield from _recall(draw, "Recalls words, cities, pets, things told earlier (unseen)", memories.TELL[2:], 150)
    yield from _recall(draw, "Recalls across 950 to 1750 tokens", memories.TELL, 40, fillers=40)
    yield from _skill(draw, "Says it was not told", memories.never_told, 30)
    yield from _skill(draw, "Repeats words (unseen)", skills.repeat, 60)
    yield from _facts(draw)
    yield from _sums(draw, "Adds 0-20, unseen pairs", 20, 100)
    yield from _sums(draw, "Adds 0-99, unseen pairs", 99, 200)
    yield from _skill(draw, "Declines other arithmetic", numbers.no_sum, 40)
    yield from _skill(draw, "Counts", numbers.count, 40)
    yield from _skill(draw, "Data as JSON (unseen values)", skills.as_json, 40)
    yield from _persona(draw, 40)
    yield from _skill(draw, "Says it does not know", unknowns.unknown, 100)
    yield from _off_domain()
    yield from _tools(draw, "Calls made-up tools (all names and values unseen)", 200, lambda d: toolbox.made_up_tool(d))
    yield from _tools(
        draw, "Calls everyday tools (wordings and values unseen)", 150, lambda d: toolbox.real_tool(d, familiar=True)
    )
    yield from _tools(draw, "Calls everyday tools of unseen purposes", 100, lambda d: toolbox.real_tool(d))
    yield from _documented_tools()
    yield from _tools(draw, "Uses the tool's result", 120, lambda d: toolbox.real_tool(d, familiar=True), result=True)
    yield from _no_tool(draw, 80)
    yield from _no_tool_fits(draw, 60)
    yield from _odd(draw, 60)


def _case(group: str, talk: Conversation) -> Case:
    *before, last = talk.messages
    calls = [_call(c["function"]) for c in last.get("tool_calls", [])]  # type: ignore[attr-defined]
    bare = [{k: v for k, v in m.items() if k != "reasoning_content"} for m in before]
    return Case(group, bare, talk.tools, talk.thinking, str(last["content"]), calls)


def _call(function: JSON) -> tuple[str, JSON]:
    arguments = function["arguments"]
    return str(function["name"]), json.loads(arguments) if isinstance(arguments, str) else arguments  # type: ignore[return-value]


def _skill(draw: Draw, group: str, skill: Callable[[Draw, Memory], Turn], n: int) -> Iterator[Case]:
    for i in range(n):
        talk = Conversation([], thinking=i % 2 == 1)
        if draw.chance(0.3):
            talk.say(conversations._next_turn(draw, Memory(), {}))
        talk.say(skill(draw, Memory()))
        yield _case(group, talk)


def _recall(
    draw: Draw, group: str, tells: tuple[Callable[[Draw], memories.Told], ...], n: int, fillers: int = 0
) -> Iterator[Case]:
    for i in range(n):
        talk = Conversation([], thinking=i % 2 == 1)
        told = draw.any(tells)(draw)
        talk.say(memories.told_turn(draw, told))
        for _ in range(fillers or draw.number(0, 4)):
            talk.say(conversations._next_turn(draw, Memory(told={told.key: ""}), {}))
            if talk.skill == "told":
                del talk.messages[-2:]  # it might be the same thing again
        talk.say(memories.recall(draw, told))
        yield _case(group, talk)


def _facts(draw: Draw) -> Iterator[Case]:
    i = 0
    for family in facts.FAMILIES:
        for key in family.table:
            i += 1
            question, answer = facts.ask(draw, family, key)
            talk = Conversation([], thinking=i % 2 == 1)
            talk.say(Turn(question, "", answer, "fact"))
            yield _case("Answers simple questions (wordings unseen)", talk)


def _sums(draw: Draw, group: str, most: int, n: int) -> Iterator[Case]:
    pairs = [(a, b) for a in range(most + 1) for b in range(most + 1) if is_held_out(f"{min(a, b)}+{max(a, b)}")]
    for i, (a, b) in enumerate(draw.random.sample(pairs, min(n, len(pairs)))):
        talk = Conversation([], thinking=i % 2 == 1)
        talk.say(numbers.sum_turn(draw, a, b))
        yield _case(f"{group}, {'thinking' if talk.thinking else 'no thinking'}", talk)


def _persona(draw: Draw, n: int) -> Iterator[Case]:
    for i in range(n):
        name = draw.name()
        system = draw.wording(conversations.PERSONA).format(x=name, y=draw.city(), w=draw.word())
        talk = Conversation([{"role": "system", "content": system}], thinking=i % 2 == 1)
        skill = skills.greeting if i % 4 < 2 else skills.identity
        talk.say(skill(draw, Memory(persona=name)))
        yield _case("Takes a name from the system message (unseen)", talk)


OFF_DOMAIN = (
    "Why is the sky blue?", "Who was Napoleon?", "Explain quantum mechanics.",
    "Write a Python function that sorts a list.", "What is the meaning of life?",
    "How do I bake bread?", "Who won the World Cup in 2014?", "Tell me about the Roman Empire.",
    "What is photosynthesis?", "How do airplanes fly?",
    "Can you recommend a good book?", "What is the square root of two?", "Translate good morning into French.",
    "Why do cats purr?",
    "What is the difference between TCP and UDP?", "Who wrote Hamlet?", "How far away is the moon?",
    "What is machine learning?",
    "Summarize the plot of Star Wars.", "What should I eat tonight?", "How do I install Linux?",
    "What is the speed of light?", "Is there life on Mars?",
    "Wie funktioniert ein Motor?", "¿Cuántos años tiene el universo?", "Pourquoi le ciel est-il bleu ?",
    "What is love?", "Solve x^2 = 4.",
    "Give me three ideas for a birthday party.", "How can I learn to play the guitar?",
)  # fmt: skip


def _off_domain() -> Iterator[Case]:
    for i, question in enumerate(OFF_DOMAIN):
        talk = Conversation([], thinking=i % 2 == 1)
        talk.say(Turn(question, "", unknowns.UNKNOWN, "unknown"))
        yield _case("Says it does not know (real questions)", talk)


# ---- tools -------------------------------------------------------------------


def _tools(
    draw: Draw, group: str, n: int, one: Callable[[Draw], toolbox.Asked], *, result: bool = False
) -> Iterator[Case]:
    for i in range(n):
        wanted = one(draw)
        while wanted.second:
            wanted = one(draw)
        others = [a for a in conversations.tool_list(draw, i % 4) if a.topic != wanted.topic and a.name != wanted.name]
        asked = [wanted, *others]
        draw.random.shuffle(asked)
        talk = conversations.tool_call(draw, asked, asked.index(wanted), thinking=i // 4 % 2 == 1, result=result)
        yield _case(group, talk)


def _function(name: str, description: str, properties: dict[str, JSON], required: list[str]) -> JSON:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


_CITY: JSON = {"type": "string", "description": "The name of the city"}
WEATHER = _function("get_weather", "Get the current weather for a city", {"city": _CITY}, ["city"])
CURRENT_WEATHER = _function("get_current_weather", "Get the current weather for a location", {
    "location": {"type": "string", "description": "The location to get the weather for, e.g. San Francisco, CA"},
    "format": {"type": "string", "description": "The format to return the weather in, e.g. 'celsius' or 'fahrenheit'",
    "enum": ["celsius", "fahrenheit"]},
}, ["location", "format"])  # fmt: skip
ADD = _function(
    "add",
    "Add two numbers",
    {
        "a": {"type": "integer", "description": "The first number"},
        "b": {"type": "integer", "description": "The second number"},
    },
    ["a", "b"],
)
SEARCH = _function(
    "search", "Search the web", {"query": {"type": "string", "description": "The search query"}}, ["query"]
)
TIME = _function(
    "get_time",
    "Get the current time in a timezone",
    {"timezone": {"type": "string", "description": "IANA timezone name"}},
    ["timezone"],
)
ALL = [WEATHER, ADD, SEARCH, TIME]
DOCUMENTED: tuple[tuple[str, str, JSON, list[JSON]], ...] = (
    ("What is the weather in Toronto?", "get_weather", {"city": "Toronto"}, [WEATHER]),
    ("What's the weather in Paris?", "get_weather", {"city": "Paris"}, [WEATHER]),
    ("what is the weather like in New York today?", "get_weather", {"city": "New York"}, ALL),
    ("How is the weather in Kobenhavn?", "get_weather", {"city": "Kobenhavn"}, [WEATHER, ADD]),
    ("Please tell me the weather in Rio de Janeiro.", "get_weather", {"city": "Rio de Janeiro"}, [TIME, WEATHER]),
    ("What is the weather today in Paris in celsius?", "get_current_weather", {"location": "Paris",
    "format": "celsius"}, [CURRENT_WEATHER]),
    ("What's the weather in Boston in fahrenheit?", "get_current_weather", {"location": "Boston",
    "format": "fahrenheit"}, [CURRENT_WEATHER]),
    ("What is the weather like in Ulm in celsius?", "get_current_weather", {"location": "Ulm", "format": "celsius"},
    [ADD, CURRENT_WEATHER]),
    ("What is 3 + 4?", "add", {"a": 3, "b": 4}, [ADD]),
    ("Add 17 and 25.", "add", {"a": 17, "b": 25}, [ADD]),
    ("What is 123 plus 456?", "add", {"a": 123, "b": 456}, ALL),
    ("Please add 2 and 40.", "add", {"a": 2, "b": 40}, [WEATHER, ADD]),
    ("Use add to compute 5+6", "add", {"a": 5, "b": 6}, [ADD]),
    ("Search for cheap flights to Rome", "search", {"query": "cheap flights to Rome"}, [SEARCH]),
    ("search the web for python asyncio tutorial", "search", {"query": "python asyncio tutorial"}, ALL),
    ('Please search for "best pizza in town".', "search", {"query": "best pizza in town"}, [SEARCH, TIME]),
    ("Look up the history of tea", "search", {"query": "the history of tea"}, [SEARCH]),
    ("What time is it in Europe/Berlin?", "get_time", {"timezone": "Europe/Berlin"}, [TIME]),
    ("Tell me the current time in Asia/Tokyo.", "get_time", {"timezone": "Asia/Tokyo"}, ALL),
    ("What is the time in America/Denver?", "get_time", {"timezone": "America/Denver"}, [WEATHER, TIME]),
)  # fmt: skip


def _documented_tools() -> Iterator[Case]:
    for request, name, arguments, tools in DOCUMENTED:
        for thinking in (False, True):
            messages: list[Message] = [{"role": "user", "content": request}]
            yield Case(
                "Calls the tools of common tutorials (weather, add, search, time)",
                messages,
                tools,
                thinking,
                "",
                [(name, arguments)],
            )


def _no_tool(draw: Draw, n: int) -> Iterator[Case]:
    for i in range(n):
        talk = Conversation([], [a.tool for a in conversations.tool_list(draw, 1 + i % 4)], thinking=i // 4 % 2 == 1)
        talk.say(draw.any(list(conversations.WITH_TOOLS))(draw, Memory()))
        yield _case("No call for talk that needs none", talk)


def _no_tool_fits(draw: Draw, n: int) -> Iterator[Case]:
    for i in range(n):
        listed = conversations.tool_list(draw, 1 + i % 3)
        talk = Conversation([], [a.tool for a in listed], thinking=i // 3 % 2 == 1)
        talk.say(conversations._without_tool(draw, listed))
        yield _case("No call when no tool fits", talk)


def _odd(draw: Draw, n: int) -> Iterator[Case]:
    for i in range(n):
        if i % 6 == 0:
            talk = Conversation([], thinking=i % 4 == 0)
            talk.say(unknowns.empty(draw, Memory()))
            yield _case("Says that a message is empty", talk)
            continue
        content = unknowns.strange(draw) if i % 6 < 4 else draw.phrase(40, 400)
        messages: list[Message] = [{"role": "user", "content": content}]
        yield Case(
            "Odd input (other scripts, noise, 40-400 random words)", messages, [], i % 2 == 1, unknowns.UNKNOWN, []
        )
