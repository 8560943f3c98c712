"""The facts tiny knows, and the ways to ask; the last two wordings of each family are for the evaluation only."""

from __future__ import annotations

from dataclasses import dataclass

from .draw import Draw


@dataclass(frozen=True)
class Family:
    """Facts of one kind: `answer` and `questions` have places for the key {k} and the value {v}."""

    title: str
    table: dict[str, str]
    answer: str
    questions: tuple[str, ...]


def _pairs(text: str) -> dict[str, str]:
    return dict(tuple(pair.strip().split(" = ")) for pair in text.strip().split(";"))  # type: ignore[misc]


COUNTRIES = _pairs(
    """France = Paris; Germany = Berlin; Italy = Rome; Spain = Madrid; Portugal = Lisbon; England = London;
    Ireland = Dublin;
    Austria = Vienna; Switzerland = Bern; Belgium = Brussels; the Netherlands = Amsterdam; Denmark = Copenhagen;
    Norway = Oslo;
    Sweden = Stockholm; Finland = Helsinki; Poland = Warsaw; Greece = Athens; Turkey = Ankara; Russia = Moscow;
    Ukraine = Kyiv;
    Hungary = Budapest; Egypt = Cairo; Kenya = Nairobi; Japan = Tokyo; China = Beijing; India = New Delhi;
    Thailand = Bangkok;
    Canada = Ottawa; the United States = Washington; Mexico = Mexico City; Brazil = Brasilia; Argentina = Buenos Aires;
    Chile = Santiago; Peru = Lima; Cuba = Havana; Australia = Canberra; New Zealand = Wellington; Iceland = Reykjavik"""
)

CONTINENTS = _pairs(
    """France = Europe; Germany = Europe; Italy = Europe; Spain = Europe; Norway = Europe; Poland = Europe;
    Egypt = Africa;
    Kenya = Africa; Japan = Asia; China = Asia; India = Asia; Thailand = Asia; Canada = North America;
    Mexico = North America;
    Brazil = South America; Argentina = South America; Chile = South America; Peru = South America"""
)

LANGUAGES = _pairs(
    """France = French; Germany = German; Austria = German; Italy = Italian; Spain = Spanish; Mexico = Spanish;
    Argentina = Spanish;
    Portugal = Portuguese; Brazil = Portuguese; Japan = Japanese; China = Chinese; Russia = Russian; Poland = Polish;
    Greece = Greek; Egypt = Arabic; England = English; Australia = English; Sweden = Swedish; Turkey = Turkish"""
)

COLOURS = _pairs(
    """the sky = blue; grass = green; snow = white; blood = red; coal = black; milk = white; a lemon = yellow;
    a banana = yellow;
    a tomato = red; a carrot = orange; chocolate = brown; the sun = yellow; the sea = blue; a frog = green;
    a raven = black;
    a strawberry = red; a plum = purple; a flamingo = pink; an elephant = grey; gold = yellow"""
)

OPPOSITES = _pairs(
    """hot = cold; big = small; up = down; left = right; day = night; good = bad; fast = slow; old = new; high = low;
    long = short;
    black = white; happy = sad; open = closed; full = empty; hard = soft; light = dark; loud = quiet; rich = poor;
    strong = weak; wet = dry; early = late; inside = outside; true = false; clean = dirty; easy = difficult;
    first = last"""
)

SOUNDS = _pairs(
    """dog = woof; cat = meow; cow = moo; duck = quack; sheep = baa; pig = oink; lion = roar; owl = hoot; bee = buzz;
    snake = hiss; mouse = squeak"""
)

BABIES = _pairs(
    """dog = puppy; cat = kitten; cow = calf; horse = foal; sheep = lamb; bear = cub; duck = duckling; frog = tadpole;
    goat = kid; kangaroo = joey"""
)

LEGS = _pairs(
    """dog = four; cat = four; horse = four; cow = four; bird = two; human = two; spider = eight; ant = six; bee = six;
    fish = no; snake = no"""
)

COUNTS = _pairs(
    """days are in a week = seven; months are in a year = twelve; hours are in a day = twenty-four;
    minutes are in an hour = sixty;
    seconds are in a minute = sixty; days are in a year = 365; letters are in the alphabet = twenty-six;
    continents are there = seven;
    planets are in the solar system = eight; sides does a triangle have = three; sides does a square have = four;
    wheels does a car have = four; wheels does a bicycle have = two; players are in a football team = eleven"""
)

RECORDS = _pairs(
    """largest planet = Jupiter; smallest planet = Mercury; red planet = Mars; hottest planet = Venus;
    largest ocean = the Pacific;
    highest mountain = Mount Everest; longest river = the Nile; fastest land animal = the cheetah;
    largest animal = the blue whale;
    tallest animal = the giraffe; largest country = Russia; largest continent = Asia; smallest continent = Australia;
    largest desert = Antarctica; closest star = the sun; king of the animals = the lion"""
)

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()


def _next(names: list[str]) -> dict[str, str]:
    return dict(zip(names, names[1:] + names[:1], strict=True))


def _previous(names: list[str]) -> dict[str, str]:
    return dict(zip(names, names[-1:] + names[:-1], strict=True))


FAMILIES = (
    Family("capitals", COUNTRIES, "The capital of {k} is {v}.", (
        "What is the capital of {k}?", "What's the capital of {k}?", "capital of {k}",
        "Which city is the capital of {k}?",
        "Tell me the capital of {k}.", "Name the capital of {k}.", "Do you know the capital of {k}?",
        "What is the capital city of {k}?", "{k}: capital?", "Can you tell me the capital of {k}?",
        "I would like to know the capital of {k}.", "What city is the capital of {k}?")),
    Family("countries", COUNTRIES, "{v} is the capital of {k}.", (
        "Which country has the capital {v}?", "{v} is the capital of which country?",
        "Which country is {v} the capital of?",
        "Of which country is {v} the capital?", "{v} is the capital of what country?",
        "What country has {v} as its capital?")),
    Family("continents", CONTINENTS, "{k} is in {v}.", (
        "On which continent is {k}?", "Which continent is {k} in?", "What continent is {k} on?",
        "{k} is on which continent?",
        "Tell me the continent of {k}.", "In which continent is {k}?", "What continent is {k} in?")),
    Family("languages", LANGUAGES, "People in {k} speak {v}.", (
        "Which language do people speak in {k}?", "What language is spoken in {k}?", "What do people speak in {k}?",
        "Which language is spoken in {k}?", "What is the language of {k}?", "Tell me the language of {k}.",
        "What language do people speak in {k}?", "What language do they speak in {k}?")),
    Family("colours", COLOURS, "{k} is {v}.", (
        "What colour is {k}?", "What color is {k}?", "Which colour is {k}?", "Which color does {k} have?",
        "What is the colour of {k}?", "What is the color of {k}?", "Tell me the colour of {k}.",
        "Tell me the color of {k}.",
        "What colour does {k} have?", "Do you know what color {k} is?")),
    Family("opposites", OPPOSITES | {v: k for k, v in OPPOSITES.items()}, "The opposite of {k} is {v}.", (
        "What is the opposite of {k}?", "What's the opposite of {k}?", "opposite of {k}",
        "Tell me the opposite of {k}.",
        "Name the opposite of {k}.", "What is the opposite of the word {k}?", "The opposite of {k} is what?",
        "Give me the opposite of {k}.", "Which word is the opposite of {k}?")),
    Family("sounds", SOUNDS, "A {k} says {v}.", (
        "What does a {k} say?", "What sound does a {k} make?", "Which sound does a {k} make?", "How does a {k} sound?",
        "What does the {k} say?", "Tell me what a {k} says.", "What noise does a {k} make?",
        "What sound does the {k} make?")),
    Family("young animals", BABIES, "A baby {k} is called a {v}.", (
        "What is a baby {k} called?", "What do you call a baby {k}?", "What is the name of a baby {k}?",
        "What is a young {k} called?",
        "How is a baby {k} called?", "What do we call a baby {k}?", "What do you call a young {k}?")),
    Family("legs", LEGS, "A {k} has {v} legs.", (
        "How many legs does a {k} have?", "How many legs has a {k}?", "A {k} has how many legs?",
        "Tell me how many legs a {k} has.",
        "What number of legs does a {k} have?", "Do you know how many legs a {k} has?",
        "How many legs does the {k} have?")),
    Family("counts", COUNTS, "{v}.", (
        "How many {k}?", "how many {k}", "Do you know how many {k}?", "Please tell me, how many {k}?",
        "Hey, how many {k}?",
        "Can you tell me how many {k}?", "Tell me how many {k}.")),
    Family("records", RECORDS, "The {k} is {v}.", (
        "What is the {k}?", "What's the {k}?", "Which is the {k}?", "Name the {k}.", "Tell me the {k}.",
        "Do you know the {k}?",
        "the {k}?", "Can you name the {k}?", "Can you tell me the {k}?")),
    Family("days after", _next(DAYS), "The day after {k} is {v}.", (
        "What day comes after {k}?", "Which day comes after {k}?", "What is the day after {k}?",
        "Which day follows {k}?",
        "What comes after {k}?", "Today is {k}. What day is tomorrow?", "After {k} comes which day?",
        "What day follows {k}?",
        "Name the day after {k}.")),
    Family("days before", _previous(DAYS), "The day before {k} is {v}.", (
        "What day comes before {k}?", "Which day comes before {k}?", "What is the day before {k}?",
        "What comes before {k}?",
        "Today is {k}. What day was yesterday?", "Which day is before {k}?", "Name the day before {k}.",
        "What day is before {k}?")),
    Family("months after", _next(MONTHS), "The month after {k} is {v}.", (
        "What month comes after {k}?", "Which month comes after {k}?", "What is the month after {k}?",
        "Which month follows {k}?",
        "What comes after {k}?", "After {k} comes which month?", "What month follows {k}?",
        "Name the month after {k}.")),
)  # fmt: skip


def ask(draw: Draw, family: Family, key: str) -> tuple[str, str]:
    """A question for one fact, in one of our side's wordings, and its answer."""
    value = family.table[key]
    answer = family.answer.format(k=key, v=value)
    return draw.wording(family.questions).format(k=key, v=value), answer[0].upper() + answer[1:]


def any_fact(draw: Draw) -> tuple[str, str]:
    # The larger families have more to learn, but not in proportion: their
    # wordings are shared.
    family = draw.random.choices(FAMILIES, [len(f.table) ** 0.7 for f in FAMILIES])[0]
    return ask(draw, family, draw.any(list(family.table)))
