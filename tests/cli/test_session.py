"""What slash commands mean, and what they change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.cli.session import Bye, KeepHistory, ListModels, Load, Outcome, Save, Say, Send, Session, Show
from power.cli.topics import TOPICS


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("hello", Send("hello")),
        ("  /bye is how one leaves", Send("  /bye is how one leaves")),
        ("/usr/bin is a directory", Send("/usr/bin is a directory")),
        ("/bye", Bye()),
        ("/exit", Bye()),
        ("/list", ListModels()),
        ("/load other:7b", Load("other:7b")),
        ("/load", Say("Usage:\n  /load <model>")),
        ("/show info", Show("info")),
        ("/show template", Show("template")),
        ("/show everything", Say(TOPICS["show"])),
        ("/show", Say(TOPICS["show"])),
        ("/help", Say(TOPICS[""])),
        ("/?", Say(TOPICS[""])),
        ("/? set", Say(TOPICS["set"])),
        ("/help /show", Say(TOPICS["show"])),
        ("/? shortcuts", Say(TOPICS["shortcuts"])),
        ("/? set parameter", Say(TOPICS["set parameter"])),
        ("/? anything", Say(TOPICS[""])),
        ("/set", Say(TOPICS["set"])),
        ("/set nonsense", Say(TOPICS["set"])),
        ("/set parameter", Say(TOPICS["set parameter"])),
        ("/set parameter seed", Say(TOPICS["set parameter"])),
        ("/set think enormously", Say(TOPICS["set"])),
        ("/set history", KeepHistory(True)),
        ("/set nohistory", KeepHistory(False)),
        ("/save", Say("Usage:\n  /save <model>")),
        ("/save other:v1", Save("other:v1")),
        ("/x y", Say("Unknown command '/x'. Type /? for help")),
    ],
)
def test_a_message_is_for_the_model_or_a_command(text: str, outcome: Outcome) -> None:
    assert Session("tiny").read(text) == outcome


@pytest.mark.parametrize(
    ("text", "said", "changed"),
    [
        ("/set system You are a pirate.", "Set system message.", {"system": "You are a pirate."}),
        ("/set system Two\nlines.", "Set system message.", {"system": "Two\nlines."}),
        ("/set think", "Set 'think' mode.", {"think": True}),
        ("/set think high", "Set 'think' mode to 'high'.", {"think": "high"}),
        ("/set nothink", "Set 'nothink' mode.", {"think": False}),
        ("/set nowordwrap", "Set 'nowordwrap' mode.", {"wordwrap": False}),
        ("/set verbose", "Set 'verbose' mode.", {"verbose": True}),
        ("/set format json", "Set format to 'json' mode.", {"format": "json"}),
        ("/set noformat", "Disabled format.", {"format": None}),
        ("/set parameter temperature 0.5", "Set parameter 'temperature' to '0.5'", {"options": {"temperature": 0.5}}),
        (
            "/set parameter stop AI: User:",
            "Set parameter 'stop' to 'AI:, User:'",
            {"options": {"stop": ["AI:", "User:"]}},
        ),
        ("/set parameter stop 1", "Set parameter 'stop' to '1'", {"options": {"stop": ["1"]}}),
        ("/set parameter use_mmap false", "Set parameter 'use_mmap' to 'false'", {"options": {"use_mmap": False}}),
    ],
)
def test_a_setting_is_changed_and_said(text: str, said: str, changed: dict[str, Any]) -> None:
    session = Session("tiny")

    assert session.read(text) == Say(said)
    assert {name: getattr(session, name) for name in changed} == changed


@pytest.mark.parametrize(
    "words", ["temperature warm", "temperature NaN", "seed 1.5e400", "nosuch 1", "top_k []", "num_ctx 1 2"]
)
def test_a_parameter_that_cannot_be_is_not_set(words: str) -> None:
    session = Session("tiny")
    outcome = session.read(f"/set parameter {words}")

    assert isinstance(outcome, Say)
    assert outcome.text.startswith("Couldn't set parameter: ")
    assert words.split()[0] in outcome.text
    assert session.options == {}


def test_the_conversation_is_the_system_message_and_every_turn() -> None:
    session = Session("tiny", system="Be brief.")
    session.asked("hi")
    session.answered("hello", "They greet me.")
    session.asked("bye")

    assert session.conversation() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello", "thinking": "They greet me."},
        {"role": "user", "content": "bye"},
    ]


def test_clearing_forgets_the_turns_but_not_the_settings() -> None:
    session = Session("tiny", system="Be brief.", options={"seed": 1})
    session.asked("hi")
    session.answered("hello")

    assert session.read("/clear") == Say("Cleared session context")
    assert session.conversation() == [{"role": "system", "content": "Be brief."}]
    assert session.options == {"seed": 1}


def test_a_question_without_an_answer_is_forgotten() -> None:
    session = Session("tiny")
    session.asked("hi")
    session.unasked()

    assert session.conversation() == []


@given(st.text())
def test_any_message_has_an_outcome(text: str) -> None:
    for message in (text, f"/{text}", f"/set {text}", f"/set parameter {text}", f"/show {text}"):
        assert isinstance(Session("tiny").read(message), Outcome)
