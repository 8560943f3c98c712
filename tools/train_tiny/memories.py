"""Skills: what the user has told, and asks for later."""

from __future__ import annotations

from dataclasses import dataclass

from . import words
from .draw import Draw
from .turns import Memory, Turn, rough

NOT_TOLD = "You have not told me that yet."

NAME_TOLD = (
    "My name is {x}.", "I am {x}.", "I'm {x}.", "Call me {x}.", "Hi, my name is {x}.", "Hello, I am {x}!",
    "You can call me {x}.",
    "my name is {x}", "Hi, I'm {x}.", "Hello! My name is {x}.", "The name is {x}.", "{x} is my name.",
    "It's me, {x}.", "This is {x}.",
    "My name is {x}, remember it.", "Please call me {x}.", "Hey, I am called {x}.",
)  # fmt: skip
NAME_ASKED = (
    "What is my name?", "What's my name?", "Do you remember my name?", "Who am I?", "Say my name.", "What am I called?",
    "Tell me my name.", "what is my name", "How am I called?", "Do you still know my name?", "What was my name?",
    "My name is?",
    "Can you say my name?", "So what is my name?", "Can you tell me my name?", "Do you know my name?",
)  # fmt: skip
WORD_TOLD = (
    "Remember the word {x}.", "The word is {x}.", "The secret word is {x}.", "Please remember this word: {x}",
    "Keep the word {x} in mind.",
    "remember {x}", "Remember this word: {x}.", "I give you a word: {x}.", "Learn the word {x}.",
    "The magic word is {x}.",
    "The password is {x}.", 'Remember the word "{x}".', "Don't forget the word {x}.", "Please remember the word {x}.",
    "My word is {x}.",
)  # fmt: skip
WORD_ASKED = (
    "What was the word?", "What is the word?", "Which word did I tell you?", "What word did I tell you?",
    "Tell me the word.",
    "Do you remember the word?", "What is the secret word?", "Say the word.", "which word was it?",
    "What did I ask you to remember?",
    "Repeat the word I told you.", "What was the secret word?", "Can you tell me the word?",
    "Which word did I ask you to remember?",
)  # fmt: skip
CITY_TOLD = (
    "I live in {x}.", "I am from {x}.", "My city is {x}.", "I come from {x}.", "My home is in {x}.", "I'm from {x}.",
    "i live in {x}",
    "I live in a city called {x}.", "I was born in {x} and live there.", "My home town is {x}.",
    "I am living in {x}.", "My city is called {x}.",
)  # fmt: skip
CITY_ASKED = (
    "Where do I live?", "Which city do I live in?", "Where am I from?", "In which city do I live?",
    "What is my city?", "Tell me where I live.",
    "Where is my home?", "Do you know where I live?", "What city do I live in?", "Do you remember where I live?",
    "Can you tell me where I live?",
)  # fmt: skip
PET_TOLD = (
    "My {n} is called {x}.", "I have a {n} called {x}.", "My {n} is named {x}.", "The name of my {n} is {x}.",
    "{x} is my {n}.",
    "I have a {n}, {x}.", "I have a {n} and its name is {x}.", "My {n}'s name is {x}.", "I have a {n} named {x}.",
    "My {n} has the name {x}.",
)  # fmt: skip
PET_ASKED = (
    "What is my {n} called?", "What is the name of my {n}?", "How is my {n} called?",
    "Do you remember the name of my {n}?", "My {n} is called?",
    "Tell me the name of my {n}.", "What's my {n} called?", "What is my {n}'s name?", "What was the name of my {n}?",
    "Do you know what my {n} is called?",
)  # fmt: skip
THING_TOLD = (
    "My {n} is {x}.", "Remember that my {n} is {x}.", "{x} is my {n}.", "my {n} is {x}", "My {n}: {x}",
    "You should know that my {n} is {x}.",
    "By the way, my {n} is {x}.", "Note that my {n} is {x}.", "Remember my {n}: {x}.",
    "Please remember that my {n} is {x}.", "Well, my {n} is {x}.",
)  # fmt: skip
THING_ASKED = (
    "What is my {n}?", "What's my {n}?", "Tell me my {n}.", "Do you remember my {n}?", "What was my {n}?", "my {n}?",
    "Say my {n}.",
    "Which {n} do I have?", "So what is my {n}?", "Can you tell me my {n}?", "Do you know my {n}?",
)  # fmt: skip
PETS = """
dog cat horse rabbit parrot hamster goldfish turtle mouse bird pony snake friend brother sister boss teacher
neighbour son daughter
""".split()
THINGS = (
    "favourite colour", "favorite color", "favourite word", "favourite food", "favorite animal", "hobby", "job",
    "number", "code", "pin",
    "lucky number", "phone number", "password", "age", "favourite city", "favourite fruit", "favorite song", "room",
    "team", "flower",
)  # fmt: skip
COLOURS = """
red green blue yellow black white orange purple pink brown grey silver gold turquoise violet beige crimson
""".split()


@dataclass(frozen=True)
class Told:
    """Something the user says about themselves: the key, the sentence, tiny's reply, the question, the answer."""

    key: str
    statement: str
    reply: str
    asked: str
    answer: str


def tell_name(draw: Draw) -> Told:
    x = draw.name()
    if draw.chance(0.1):
        x += " " + draw.name()
    return Told(
        "name",
        draw.wording(NAME_TOLD).format(x=x),
        f"Nice to meet you, {x}.",
        draw.wording(NAME_ASKED),
        f"Your name is {x}.",
    )


def _tell_word(draw: Draw) -> Told:
    x = draw.word() if draw.chance(0.8) else draw.digits(1, 6)
    told, asked = draw.wording(WORD_TOLD), draw.wording(WORD_ASKED)
    return Told("word", told.format(x=x), f"I will remember the word {x}.", asked, f"The word is {x}.")


def _tell_city(draw: Draw) -> Told:
    x = draw.city()
    told, asked = draw.wording(CITY_TOLD), draw.wording(CITY_ASKED)
    return Told("city", told.format(x=x), f"I will remember that you live in {x}.", asked, f"You live in {x}.")


def _tell_pet(draw: Draw) -> Told:
    n, x = draw.any(PETS), draw.name()
    told, asked = draw.wording(PET_TOLD).format(n=n, x=x), draw.wording(PET_ASKED).format(n=n)
    return Told(n, told, f"I will remember that your {n} is called {x}.", asked, f"Your {n} is called {x}.")


def _tell_thing(draw: Draw) -> Told:
    n = draw.any(THINGS) if draw.chance(0.6) else draw.of(words.NOUNS)
    if "number" in n or n in ("code", "pin", "age", "room") or draw.chance(0.15):
        x = draw.digits(1, 6)
    elif "colo" in n:
        x = draw.any(COLOURS)
    else:
        x = draw.word()
    told, asked = draw.wording(THING_TOLD).format(n=n, x=x), draw.wording(THING_ASKED).format(n=n)
    return Told(n, told, f"I will remember that your {n} is {x}.", asked, f"Your {n} is {x}.")


TELL = (tell_name, tell_name, _tell_word, _tell_word, _tell_city, _tell_pet, _tell_thing, _tell_thing)


def tell(draw: Draw) -> Told:
    return draw.any(TELL)(draw)


def told_turn(draw: Draw, told: Told) -> Turn:
    return Turn(
        rough(draw, told.statement, keep_case=True),
        "The user tells me something. I will remember it.",
        told.reply,
        "told",
    )


def recall(draw: Draw, told: Told) -> Turn:
    return Turn(rough(draw, told.asked), "The user asks for something I was told.", told.answer, "recall")


def never_told(draw: Draw, memory: Memory) -> Turn:
    told = tell(draw)
    while told.key in memory.told:
        told = tell(draw)
    return Turn(rough(draw, told.asked), "The user asks for something I was not told.", NOT_TOLD, "never told")
