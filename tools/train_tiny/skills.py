"""Skills: to greet, to say who it is, small talk, facts, repeating and JSON; each is one turn without tools."""

from __future__ import annotations

import json

from . import facts
from .draw import Draw
from .turns import Memory, Turn, rough

WHO = "I am tiny, the embedded demonstration model of Power."
ABILITIES = "I can greet you, remember what you tell me, answer simple questions, add small numbers and call tools."


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
        rough(draw, draw.wording(GREETINGS)), "The user greets me.", f"Hello! I am {name}. How can I help?", "greeting"
    )


def identity(draw: Draw, memory: Memory) -> Turn:
    answer = f"I am {memory.persona}." if memory.persona else WHO
    return Turn(rough(draw, draw.wording(WHO_ARE_YOU)), "The user asks who I am.", answer, "identity")


def abilities(draw: Draw, memory: Memory) -> Turn:
    return Turn(rough(draw, draw.wording(WHAT_CAN_YOU_DO)), "The user asks what I can do.", ABILITIES, "abilities")


def small_talk(draw: Draw, memory: Memory) -> Turn:
    wordings, answer = draw.any(SMALL_TALK)
    return Turn(rough(draw, draw.wording(wordings)), "I know what to say.", answer, "small talk")


def fact(draw: Draw, memory: Memory) -> Turn:
    question, answer = facts.any_fact(draw)
    return Turn(rough(draw, question), "The user asks a simple question and I know the answer.", answer, "fact")


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
