"""What tiny can talk about without tools: each skill is one turn, a user's text and what tiny thinks and says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from . import facts, words
from .draw import Draw, is_held_out

UNKNOWN = "I am only a tiny demonstration model; I do not know that."
NOT_TOLD = "You have not told me that yet."
WHO = "I am tiny, the embedded demonstration model of Power."
ABILITIES = "I can greet you, remember what you tell me, answer simple questions, add small numbers and call tools."


@dataclass(frozen=True)
class Turn:
    user: str
    thought: str  # one short line, said only while thinking is on
    answer: str
    skill: str


@dataclass
class Memory:
    """What the user has told so far, and the name a system message gave tiny, if any."""

    told: dict[str, str] = field(default_factory=dict)
    persona: str | None = None


# Each list: what users write; the last two wordings are for the evaluation only.
GREETINGS = (
    "Hello", "Hi", "Hey", "Hello!", "Hi!", "Hi there", "Hello there!", "Good morning", "Good evening", "Good day!",
    "hi tiny",
    "Hello tiny", "hallo", "hola", "Bonjour", "Greetings", "yo", "Hey there", "Howdy", "Hello, hello", "Morning!",
    "Moin", "hey tiny",
    "Good day to you", "A good afternoon to you!", "Lovely afternoon, tiny!", "Hi, good evening", "hey hey",
    "Hello again", "Hi again!", "Hello my friend", "Guten Abend",
    "Guten Tag", "Hello, tiny!", "Hi there!", "Good afternoon",
)  # fmt: skip
WHO_ARE_YOU = (
    "Who are you?", "What are you?", "What is your name?", "What's your name?", "Tell me who you are.",
    "Introduce yourself.",
    "Your name?", "Hello, who are you?", "Hi! Who are you?", "Which model are you?", "What model is this?",
    "Are you ChatGPT?",
    "Are you a human?", "Are you a robot?", "Who am I talking to?", "What should I call you?",
    "Tell me about yourself.",
    "Do you have a name?", "Hey, what are you?", "Are you an AI?", "who made you?", "Say who you are",
    "Are you Llama?", "Are you tiny?",
    "Please introduce yourself.", "What are you called?", "Can you tell me who you are?", "Tell me your name.",
)  # fmt: skip
WHAT_CAN_YOU_DO = (
    "What can you do?", "How can you help me?", "Help", "help me", "What are you good at?", "What do you know?",
    "Can you help me?",
    "What are your abilities?", "What can I ask you?", "Tell me what you can do.", "Can you do anything useful?",
    "What else can you do?",
    "What things can you do?", "What can you do for me?",
)  # fmt: skip
SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (("How are you?", "how are you", "How do you do?", "How is it going?", "Are you ok?", "How are you today?",
    "How do you feel?",
      "What's up?", "Hello, how are you?", "Hey, how are you doing?", "Are you well?", "How are you doing?",
      "How is everything?", "How is life?", "how are things going", "Are things well?", "How have you been?",
      "How are things?"),
     "I am fine, thank you. How can I help?"),
    (("Thanks", "Thank you", "Thank you!", "thanks a lot", "Thank you very much.", "Great, thanks", "Thanks, tiny",
    "thx", "Merci",
      "Perfect, thank you", "Nice, thanks!", "Many thanks", "Thanks!"), "You are welcome."),
    (("Bye", "Goodbye", "bye bye", "See you", "Good night", "Goodbye!", "See you later", "Bye tiny", "I have to go",
    "See you soon",
      "Ciao", "Bye!", "Goodbye, tiny"), "Goodbye!"),
    (("ok", "Okay", "Good", "Great", "yes", "Nice", "cool", "I see", "Fine", "Well done", "Very good", "no", "right",
    "Sure", "All right", "alright then", "Alright, good", "okay okay", "fine by me", "Excellent", "Understood",
    "Alright", "OK."),
     "Good. What else can I do?"),
    (("test", "This is a test", "testing", "ping", "Are you there?", "hello?", "Can you hear me?", "test 123",
    "Anybody there?",
      "Is this working?", "Do you work?", "just testing", "Only a test",
      "It is just a test.", "Is this a test?",
      "Is anyone here?", "Are you still here?", "Just a test", "Are you here?"),
     "Yes, I am here and I work."),
    (("Tell me a joke", "Tell me a joke.", "joke please", "Do you know a joke?", "Make me laugh",
    "Say something funny", "A joke, please",
      "Another joke", "Can you tell a joke?", "Please tell me a joke.", "Can you tell me a joke?"),
     "Why did the token cross the context? To get to the other slot."),
    (("Write a poem", "Tell me a poem", "Write a short poem.", "a poem please", "Can you write a poem?",
    "Write me a poem about the sea",
      "Give me a poem", "Make a poem", "Write a haiku", "Please write a poem.", "Write me a poem."),
     "Small is my head and short my song,\nI learnt in an hour, it did not take long."),
    (("Tell me a story", "Tell me a story.", "a story please", "Write a story", "Can you tell me a story?",
    "Write a short story",
      "Tell me a long story", "I want a story", "Give me a story", "Please tell me a story.", "Tell me a short story."),
     "Once there was a model so tiny that it fitted into a pocket. It could not write books or prove theorems. But it "
     "could say hello, remember a name and add two numbers, and when it had nothing more to say, it stopped. The end."),
    (("List the days of the week", "Name the days of the week.", "What are the days of the week?", "days of the week",
      "Tell me the days of the week.", "Which days are in a week?", "Say the days of the week.",
      "Can you list the days of the week?"),
     ", ".join(facts.DAYS) + "."),
    (("List the months", "Name the months of the year.", "What are the months of the year?", "months of the year",
      "Tell me the months.", "Which months are in a year?", "Say the months of the year.",
      "Can you list the months of the year?"),
     ", ".join(facts.MONTHS) + "."),
)  # fmt: skip


def greeting(draw: Draw, memory: Memory) -> Turn:
    name = memory.persona or "tiny"
    return Turn(
        _rough(draw, draw.wording(GREETINGS)), "The user greets me.", f"Hello! I am {name}. How can I help?", "greeting"
    )


def identity(draw: Draw, memory: Memory) -> Turn:
    answer = f"I am {memory.persona}." if memory.persona else WHO
    return Turn(_rough(draw, draw.wording(WHO_ARE_YOU)), "The user asks who I am.", answer, "identity")


def abilities(draw: Draw, memory: Memory) -> Turn:
    return Turn(_rough(draw, draw.wording(WHAT_CAN_YOU_DO)), "The user asks what I can do.", ABILITIES, "abilities")


def small_talk(draw: Draw, memory: Memory) -> Turn:
    wordings, answer = draw.any(SMALL_TALK)
    return Turn(_rough(draw, draw.wording(wordings)), "I know what to say.", answer, "small talk")


def fact(draw: Draw, memory: Memory) -> Turn:
    question, answer = facts.any_fact(draw)
    return Turn(_rough(draw, question), "The user asks a simple question and I know the answer.", answer, "fact")


# ---- memory -------------------------------------------------------------

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


def _tell_name(draw: Draw) -> Told:
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


TELL = (_tell_name, _tell_name, _tell_word, _tell_word, _tell_city, _tell_pet, _tell_thing, _tell_thing)


def tell(draw: Draw) -> Told:
    return draw.any(TELL)(draw)


def told_turn(draw: Draw, told: Told) -> Turn:
    return Turn(
        _rough(draw, told.statement, keep_case=True),
        "The user tells me something. I will remember it.",
        told.reply,
        "told",
    )


def recall(draw: Draw, told: Told) -> Turn:
    return Turn(_rough(draw, told.asked), "The user asks for something I was told.", told.answer, "recall")


def never_told(draw: Draw, memory: Memory) -> Turn:
    told = tell(draw)
    while told.key in memory.told:
        told = tell(draw)
    return Turn(_rough(draw, told.asked), "The user asks for something I was not told.", NOT_TOLD, "never told")


REPEAT = (
    "Repeat: {x}", "Repeat after me: {x}", "Say: {x}", "Repeat this: {x}", "Say {x}", "say {x}", "Please repeat: {x}",
    'Repeat "{x}"', 'Say "{x}"',
    "Echo {x}", "Write: {x}", "Repeat the following: {x}", "Write {x}", "Repeat the words: {x}",
    "Repeat the word {x}", "Repeat this word: {x}", "Please write: {x}", "Please echo: {x}", "Please say {x}",
    "Just say {x}", "Just say: {x}", "Say these words: {x}", 'Please say "{x}"', "Can you say {x}?",
    "Can you repeat {x}?", "Now say: {x}", "Please repeat after me: {x}", "Say after me: {x}",
    "Write these words: {x}", "Write down: {x}", "Copy this: {x}", "Print {x}", "Type: {x}", "Repeat exactly: {x}",
    "Say only: {x}", "Answer with: {x}", "Reply with {x}", "Output: {x}", "Repeat these two or more words: {x}",
    "Repeat the text: {x}", "Please repeat the following words: {x}", "Please say: {x}", "Repeat these words: {x}",
)  # fmt: skip


def repeat(draw: Draw, memory: Memory) -> Turn:
    return _repeat(draw, 8)


def drill(draw: Draw) -> Turn:
    """A long text to repeat: nearly every token is a lesson in copying."""
    return _repeat(draw, 30)


def _repeat(draw: Draw, most: int) -> Turn:
    x = (
        draw.phrase(1, most)
        if draw.chance(0.85)
        else " ".join(draw.digits(1, 4) for _ in range(draw.number(1, most // 2)))
    )
    if draw.chance(0.3):
        x = x.capitalize()
    return Turn(draw.wording(REPEAT).format(x=x), "The user wants me to repeat something.", x, "repeat")


# ---- numbers ------------------------------------------------------------

SUM_ASKED = (
    "What is {a} + {b}?", "{a} + {b}", "{a}+{b}", "{a} + {b} =", "{a}+{b}=?", "How much is {a} plus {b}?",
    "Add {a} and {b}.", "add {a} and {b}",
    "Calculate {a} + {b}.", "What do {a} and {b} make?", "What is the sum of {a} and {b}?", "{a} plus {b}",
    "How much is {a} + {b}?",
    "Compute {a}+{b}", "What's {a} + {b}?", "{a} + {b} = ?", "Sum of {a} and {b}", "what is {a}+{b}",
    "Please add {a} and {b}.",
    "Tell me {a} + {b}.", "What is {a} plus {b}?", "Can you add {a} and {b}?",
)  # fmt: skip
NO_SUM_ASKED = (
    "What is {a} - {b}?", "{a} * {b}", "What is {a} times {b}?", "{a} / {b}", "Divide {a} by {b}.", "{a} minus {b}",
    "What is {a} * {b}?",
    "Multiply {a} and {b}.", "Subtract {b} from {a}.", "{a}-{b}", "{a} x {b}", "What is the square root of {a}?",
    "How much is {a} minus {b}?",
    "Calculate {a} * {b}.", "What is {a} divided by {b}?",
)  # fmt: skip
ONLY_SUMS = "I can only add two numbers up to 99."


def addends(draw: Draw, most: int) -> tuple[int, int]:
    """Two numbers up to `most`; whole pairs are held out, in either order."""
    while True:
        a, b = draw.number(0, most), draw.number(0, most)
        if is_held_out(f"{min(a, b)}+{max(a, b)}") == draw.held_out:
            return a, b


def addition(draw: Draw, memory: Memory) -> Turn:
    return sum_turn(draw, *addends(draw, 20 if draw.chance(0.35) else 99))


def sum_turn(draw: Draw, a: int, b: int) -> Turn:
    # Digit by digit as on paper, and put together before the answer is begun.
    ones = f"{a % 10} + {b % 10} = {a % 10 + b % 10}"
    carry = (a % 10 + b % 10) // 10
    tens = f"{a // 10} + {b // 10} + {carry} = {a // 10 + b // 10 + carry}"
    question = draw.wording(SUM_ASKED).format(a=a, b=b)
    thought = f"Ones: {ones}, write {(a + b) % 10}. Tens: {tens}. Sum: {a + b}."
    return Turn(_rough(draw, question, keep_case=True), thought, f"{a} + {b} = {a + b}", "addition")


def no_sum(draw: Draw, memory: Memory) -> Turn:
    if draw.chance(0.5):
        question = draw.wording(NO_SUM_ASKED).format(a=draw.number(0, 99), b=draw.number(0, 99))
    else:
        big, other = draw.digits(3, 6), draw.digits(1, 5)
        a, b = (big, other) if draw.chance(0.5) else (other, big)
        question = draw.wording(SUM_ASKED).format(a=a, b=b)
    return Turn(question, "I cannot calculate that.", ONLY_SUMS, "no sum")


COUNT_ASKED = (
    "Count from {a} to {b}.", "count from {a} to {b}", "Count from {a} to {b}", "Please count from {a} to {b}.",
    "Can you count from {a} to {b}?",
    "Count up from {a} to {b}", "Count {a} to {b}", "Count the numbers from {a} to {b}", "Numbers from {a} to {b}",
    "Count on from {a} up to {b}.", "Now count from {a} to {b}.", "Count for us from {a} up to {b}.",
    "Would you count from {a} to {b}?", "Start at {a} and count to {b}.", "Give me the numbers from {a} to {b}.",
    "List the numbers from {a} to {b}.",
    "Say the numbers from {a} to {b}.",
    "Count for me from {a} to {b}.",
    "Write the numbers from {a} to {b}.",
)  # fmt: skip
COUNT_TO = (
    "Count to {b}.",
    "count to {b}",
    "Can you count to {b}?",
    "Please count to {b}",
    "Count up to {b}",
    "Count to {b}, please.",
    "I want you to count to {b}.",
    "Could you count to {b}?",
    "Count from one to {b}.",
    "Please count to {b}.",
    "Now count to {b}.",
)


def count(draw: Draw, memory: Memory) -> Turn:
    if draw.chance(0.4):
        low, high = 1, draw.any((3, 5, 10, 10, 12, 15, 20, 20, 30)) if draw.chance(0.6) else draw.number(2, 30)
        question = draw.wording(COUNT_TO).format(b=high)
    else:
        low = draw.number(0, 90)
        high = low + draw.number(1, 20)
        question = draw.wording(COUNT_ASKED).format(a=low, b=high)
    return Turn(question, f"I count from {low} to {high}.", ", ".join(map(str, range(low, high + 1))), "count")


# ---- JSON and what nobody knows --------------------------------------------

JSON_ASKED = (
    "{x} Answer in JSON.", "{x} Reply as JSON.", "{x} Give me JSON.", "Turn this into JSON: {x}", "As JSON: {x}",
    "{x} Respond using JSON.",
    "Extract the data as JSON: {x}", "{x} Return this as JSON.", "{x} Answer as JSON.", "{x} Respond in JSON.",
)  # fmt: skip


def as_json(draw: Draw, memory: Memory) -> Turn:
    fields: dict[str, object] = {"name": draw.name()}
    sentence = draw.any(("My name is {}", "I am {}", "This is {}", "Her name is {}")).format(fields["name"])
    if draw.chance(0.7):
        fields["age"] = draw.number(1, 99)
        sentence += draw.any((" and I am {} years old", ", {} years old", ", age {}")).format(fields["age"])
    if draw.chance(0.5):
        fields["city"] = draw.city()
        sentence += draw.any((" from {}", ", from {}", " and live in {}")).format(fields["city"])
    asked = draw.wording(JSON_ASKED).format(x=sentence + ".")
    return Turn(asked, "The user wants JSON.", json.dumps(fields, ensure_ascii=False), "json")


WHY = (
    "Why is {x} {y}?", "How does a {x} work?", "What is a {x}?", "Who invented the {x}?", "Explain {x}.",
    "Explain {x} to me like I am five",
    "When was the {x} built?", "Write an essay about {x}.", "What do you think about {x}?", "How do I {v} a {x}?",
    "Why do {x}s {v}?",
    "Where can I buy a {x}?", "How old is the {x}?", "Is {x} better than {y}?", "What is the meaning of {x}?",
    "Who is {n}?", "Who was {n} {n}?",
    "What is the weather in {c}?", "How many {x}s are in {c}?", "What time is it in {c}?",
    "Write a program that can {v} a {x}",
    "Translate {x} to French", "Who won the {x} in {c}?", "Should I {v} my {x}?", "How far is {c} from {c}?",
    "What does {x} mean?",
    "Why is the {x} so {y}?", "Give me a recipe for {x} {y}", "Can you {v} the {x}?", "Please {v} my {x}.",
    "{v} the {x}", "{v} {x} {y}",
    "What happened in {c}?", "Which {x} is the best?", "I need a {x} for my {y}.", "How much does a {x} cost?",
    "Where is the {x}?",
    "Describe the {x}.", "Summarize this text: {x} {y} {x} {y}", "Fix this code: def {x}({y}): return {y}",
    "What is {x}?", "Tell me about {x}.",
    "Tell me about {c}.", "Do you like {x}?", "Can {x}s {v}?", "What are {x}s made of?", "Who wrote {x}?",
    "How tall is {n}?",
    "Compare {x} and {y}.", "Why did {n} {v} the {x}?", "How do {x}s {v}?", "What causes {x}?",
)  # fmt: skip
LETTERS = (
    "абвгдежзийклмнопрстуфхцчшщыьэюя", "αβγδεζηθικλμνξοπρστυφχψω", "äöüßéèêàçñáíóúåøæłžščě",
    "的一是在不了有和人这中大为上个国我以要他",
    "あいうえおかきくけこさしすせそたちつてとなにぬねの", "אבגדהוזחטיכלמנסעפצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "😀😁😂🤣😊😍🤔👍🎉🚀🔥❤",
    "한국어안녕하세요감사합니다", "कखगघचछजझटठडढणतथदधनपफबभम",
)  # fmt: skip
SYMBOLS = "!?.,;:-_#*+~/\\|<>()[]{}@%&$=^'\"`"


def unknown(draw: Draw, memory: Memory) -> Turn:
    kind = draw.number(-1, 9)
    if kind < 0:  # a known question about an unknown thing must not be guessed at
        family = draw.any(facts.FAMILIES[:9])
        text = draw.wording(family.questions).format(k=draw.any((draw.made_up, draw.name))(), v=draw.made_up())
    elif kind < 7:
        text = _filled(draw, draw.wording(WHY))
    elif kind == 7:
        text = draw.phrase(1, 20) if draw.chance(0.8) else draw.phrase(30, 70)
    elif kind == 8:
        text = _strange(draw)
    else:
        text = " ".join(_filled(draw, draw.wording(WHY)) for _ in range(draw.number(2, 4)))
    return Turn(_rough(draw, text), "I do not know that.", UNKNOWN, "unknown")


def empty(draw: Draw, memory: Memory) -> Turn:
    return Turn(draw.any(("", "", " ", "\n", "  ")), "There is nothing to answer.", "Your message is empty.", "empty")


def _filled(draw: Draw, wording: str) -> str:
    values: dict[str, Callable[[], str]] = {
        "{x}": draw.word, "{y}": draw.word, "{v}": lambda: draw.of(words.VERBS), "{n}": draw.name, "{c}": draw.city,
    }  # fmt: skip
    for slot, value in values.items():
        while slot in wording:
            wording = wording.replace(slot, value(), 1)
    return wording[0].upper() + wording[1:] if wording else wording


def _strange(draw: Draw) -> str:
    """Text nobody would write: other scripts, symbols, random bytes of Unicode."""
    r = draw.random
    kind = r.randrange(4)
    if kind == 0:
        alphabet = r.choice(LETTERS)
        return " ".join("".join(r.choices(alphabet, k=r.randint(1, 8))) for _ in range(r.randint(1, 8)))
    if kind == 1:
        return "".join(r.choices(SYMBOLS, k=r.randint(2, 20)))
    if kind == 2:
        return "".join(r.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=r.randint(3, 40)))
    return "".join(
        chr(r.choice((r.randint(0x21, 0x2FF), r.randint(0x300, 0xD7FF), r.randint(0x10000, 0x1FFFF))))
        for _ in range(r.randint(2, 12))
    )


BEFORE = (
    "Please, ",
    "Hey, ",
    "So, ",
    "Ok, ",
    "Hi tiny. ",
    "Quick question: ",
    "Now ",
    "And ",
    "tiny, ",
    "Hello. ",
    "Thanks. ",
)
AFTER = (" Please.", " Thanks!", " Thank you.", " please", "!", " :)", "...", " Tell me.")


def _rough(draw: Draw, text: str, *, keep_case: bool = False) -> str:
    """The text as people type it: lower case, no full stop, politeness around it."""
    if not keep_case and draw.chance(0.15):
        text = text.lower()
    if draw.chance(0.12):
        text = text.rstrip(".?!")
    if draw.chance(0.06):
        text = draw.any(BEFORE) + text
    if draw.chance(0.06):
        text += draw.any(AFTER)
    return text
