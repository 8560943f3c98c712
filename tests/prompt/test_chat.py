"""Conversations become prompts by the model's own template."""

import logging
from pathlib import Path

import msgspec
import pytest

from power.errors import BadRequest
from power.gguf import read_facts
from power.messages import Message, Tool, ToolCall
from power.prompt import prompt_messages, render_chat
from tests.prompt.models import Model, model

PACKAGED = Path(__file__).parents[2] / "power" / "data" / "tiny.gguf"
DUMP = (
    "{% for m in messages %}{{ m | tojson }}\n{% endfor %}{% if tools is defined %}{{ tools | tojson }}{% endif %}"
    "{{ enable_thinking }}|{{ reasoning_effort }}|{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}"
)
TOOL: Tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x-order": [2, 1]}}}


def user(content: str) -> Message:
    return Message(role="user", content=content)


def roles(prompt: str) -> list[tuple[str, str]]:
    dumped = [msgspec.json.decode(line) for line in prompt.splitlines() if line.startswith('{"role"')]
    return [(message["role"], message["content"]) for message in dumped]


def test_the_template_gets_messages_as_it_expects_them() -> None:
    call = ToolCall(name="f", arguments={"b": "é", "a": 1}, id="call_1")
    conversation = [
        user("hi"),
        Message(role="assistant", thinking="hm", tool_calls=(call,)),
        Message(role="tool", content="21", tool_name="f", tool_call_id="call_1"),
    ]

    lines = render_chat(model(DUMP), conversation).splitlines()

    assert lines == [
        '{"role": "user", "content": "hi"}',
        '{"role": "assistant", "content": "", "reasoning_content": "hm", "thinking": "hm", "tool_calls": '
        '[{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"b": "é", "a": 1}}}]}',
        '{"role": "tool", "content": "21", "tool_call_id": "call_1", "name": "f"}',
        "||<s>|</s>|True",
    ]


@pytest.mark.parametrize(
    ("think", "expected"),
    [(None, "|"), (True, "True|"), (False, "False|"), ("low", "True|low")],
)
def test_thinking_is_switched_as_templates_know_it(think: bool | str | None, expected: str) -> None:
    assert f"\n{expected}|<s>" in render_chat(model(DUMP), [user("hi")], think=think)


def test_tools_reach_the_template_untouched() -> None:
    prompt = render_chat(model(DUMP), [user("hi")], [TOOL])

    assert (
        '[{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x-order": [2, 1]}}}]'
        in prompt
    )


def test_the_models_own_words_come_first() -> None:
    own = (user("Q"), Message(role="assistant", content="A"))
    pirate = model(DUMP, system="You are a pirate.", messages=own)

    assert roles(render_chat(pirate, [user("hi")])) == [
        ("system", "You are a pirate."), ("user", "Q"), ("assistant", "A"), ("user", "hi"),
    ]  # fmt: skip
    assert roles(render_chat(pirate, [Message(role="system", content="Be kind."), user("hi")])) == [
        ("system", "Be kind."), ("user", "Q"), ("assistant", "A"), ("user", "hi"),
    ]  # fmt: skip


def test_a_begun_answer_is_continued() -> None:
    template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    begun = [user("hi"), Message(role="assistant", content="Well, ")]

    assert render_chat(model(template), begun) == "[user]hi[assistant]Well, "
    assert render_chat(model(template), begun, add_generation_prompt=False) == "[user]hi[assistant]Well, "
    opened = template.replace("[assistant]{% endif", "[assistant]<think>\n{# </think> #}{% endif")
    assert render_chat(model(opened), begun) == "[user]hi[assistant]<think>\n\n</think>\n\nWell, "


def test_missing_ids_and_names_are_filled_in() -> None:
    calls = (ToolCall(name="f", arguments={}), ToolCall(name="g", arguments={}))
    conversation = [
        Message(role="assistant", tool_calls=calls),
        Message(role="tool", content="1", tool_name="g"),
        Message(role="tool", content="2"),
        Message(role="tool", content="3"),
    ]

    lines = render_chat(model(DUMP), conversation).splitlines()

    first, second = (call["id"] for call in msgspec.json.decode(lines[0])["tool_calls"])
    assert len(first) == 9  # what Mistral's templates demand
    assert [msgspec.json.decode(line) for line in lines[1:4]] == [
        {"role": "tool", "content": "1", "tool_call_id": second, "name": "g"},
        {"role": "tool", "content": "2", "tool_call_id": first, "name": "f"},
        {"role": "tool", "content": "3"},
    ]


def test_a_template_that_wants_arguments_as_text_gets_them() -> None:
    template = (
        "{% for m in messages %}{% for c in m.tool_calls %}{{ '>' + c.function.arguments }}{% endfor %}{% endfor %}"
    )
    call = ToolCall(name="f", arguments={"a": 1})

    assert render_chat(model(template), [Message(role="assistant", tool_calls=(call,)), user("hi")]) == '>{"a": 1}'


def test_a_template_that_misses_a_description_gets_an_empty_one() -> None:
    template = "{% for t in tools %}{{ t.function.name + t.function.description }}{% endfor %}"

    assert render_chat(model(template), [user("hi")], [TOOL]) == "f"
    assert "description" not in TOOL["function"]


def test_a_template_that_takes_alternating_turns_gets_them() -> None:
    template = (
        "{% for m in messages %}{% if loop.previtem is defined and m.role == loop.previtem.role %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    conversation = [user("a"), user("b"), Message(role="system", content="s")]

    assert render_chat(model(template), conversation) == "[system]s[user]a\n\nb"


def test_what_the_template_refuses_is_the_clients_doing() -> None:
    template = "{% if tools %}{{ raise_exception('I have no tools') }}{% endif %}"

    with pytest.raises(BadRequest, match="I have no tools"):
        render_chat(model(template), [user("hi")], [TOOL])


def test_a_developer_is_a_system_where_the_template_knows_no_other() -> None:
    conversation = [Message(role="developer", content="Be brief."), user("hi")]

    assert roles(render_chat(model(DUMP), conversation))[0] == ("system", "Be brief.")
    assert roles(render_chat(model(DUMP + "{# 'developer' #}"), conversation))[0] == ("developer", "Be brief.")


def test_without_a_template_it_is_chatml_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    bare = model(None, name="bare-model")

    with caplog.at_level(logging.WARNING):
        prompts = {render_chat(bare, [user("hi")]) for _ in range(3)}

    assert prompts == {"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"}
    assert caplog.text.count("bare-model") == 1


def test_a_bare_prompt_is_a_conversation() -> None:
    assert prompt_messages("hi") == (user("hi"),)
    assert prompt_messages("hi", system="Be brief.") == (Message(role="system", content="Be brief."), user("hi"))
    assert prompt_messages("hi", system="") == (user("hi"),)
    assert prompt_messages("look", images=(b"x",))[0].images == (b"x",)


def test_the_embedded_model_takes_tools_and_results() -> None:
    tiny = Model(facts=read_facts(PACKAGED))
    call = ToolCall(name="f", arguments={"a": 1}, id="call_1")
    conversation = [
        Message(role="system", content="Be brief."),
        user("hi"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="21", tool_call_id="call_1"),
    ]

    prompt = render_chat(tiny, conversation, [TOOL], True)

    assert prompt.startswith("<|im_start|>system\nBe brief.")
    assert '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>' in prompt
    assert prompt.endswith("<|im_end|>\n<|im_start|>assistant\n")
