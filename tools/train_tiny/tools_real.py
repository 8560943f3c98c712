"""Tools as people really define them: a purpose with several names, several ways to ask, and typed arguments.

The purposes in `HELD_OUT` are never trained on; the evaluation asks for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import words
from .draw import Draw


@dataclass(frozen=True)
class Argument:
    """One parameter: its possible names, its JSON type, its description and how to draw a value."""

    names: tuple[str, ...]
    type: str
    description: str  # or several, with | between them
    draw: Callable[[Draw], object]
    choices: tuple[str, ...] = ()  # of an enum
    optional: str = ""  # said, with the value in place of {}, when an optional argument is given


@dataclass(frozen=True)
class Purpose:
    """A tool: `requests` name the arguments by number, {0}, {1} ..., in the order of `arguments`."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    arguments: tuple[Argument, ...]
    requests: tuple[str, ...]


LANGUAGES = """
French German Spanish Italian English Dutch Polish Russian Japanese Chinese Korean Turkish Greek Swedish Danish
Latin
""".split()
CURRENCIES = "EUR USD GBP JPY CHF CAD AUD CNY INR SEK NOK DKK PLN BRL MXN".split()
ZONES = """Europe/Berlin Europe/Paris Europe/London America/New_York America/Los_Angeles America/Chicago Asia/Tokyo
Asia/Kolkata Asia/Seoul Australia/Sydney Africa/Cairo Europe/Madrid Europe/Rome Asia/Dubai
America/Toronto UTC GMT CET EST PST""".split()
ROOMS = "kitchen bedroom bathroom hall garage cellar office attic garden study lounge nursery pantry workshop".split()
EXTENSIONS = "txt md py csv json log pdf png html toml".split()


def path(draw: Draw) -> str:
    folders = "".join(draw.word() + "/" for _ in range(draw.any((0, 0, 1, 2))))
    return ("/" if draw.chance(0.3) else "") + folders + draw.word() + "." + draw.any(EXTENSIONS)


def mail(draw: Draw) -> str:
    return f"{draw.name().lower()}@{draw.word()}.{draw.any(('com', 'org', 'net', 'de'))}"


def identifier(draw: Draw) -> str:
    letters = "".join(draw.random.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=draw.number(1, 3)))
    return draw.any((draw.digits(3, 7), f"{letters}{draw.digits(2, 5)}", f"{letters}-{draw.digits(2, 5)}"))


def date(draw: Draw) -> str:
    return f"{draw.number(2019, 2035)}-{draw.number(1, 12):02}-{draw.number(1, 28):02}"


def clock(draw: Draw) -> str:
    return f"{draw.number(0, 23):02}:{draw.any((0, 5, 10, 15, 20, 30, 40, 45, 50)):02}"


def number(draw: Draw) -> object:
    n = int(draw.digits(1, draw.any((1, 2, 2, 3, 4))))
    return n if draw.chance(0.8) else float(f"{n}.{draw.number(1, 9)}")


def small(draw: Draw) -> int:
    return draw.number(1, 30)


PROSE = (
    "the {w} of {c}", "{w} in {c}", "best {w} in {c}", "cheap {w} to {c}", "how to {v} a {w}", "the {w} of the {w}",
    "{w} for {n}", "{w} and {w}", "{v} the {w} with {w}", "a {w} with a {w}", "my {w} is {w}", "the best {w} for a {w}",
    "who is {n}", "{w} {w} tutorial", "{w} at {t}", "{d} {w} near {c}", "what is a {w}", "the {w}",
)  # fmt: skip


def text(draw: Draw) -> str:
    """Some words, or words with the small ones between them that are also in requests."""
    if draw.chance(0.6):
        return draw.phrase(1, 5)
    prose = draw.any(PROSE)
    values = {"{w}": draw.word, "{v}": lambda: draw.of(words.VERBS), "{c}": draw.city, "{n}": draw.name}
    values |= {"{t}": lambda: clock(draw), "{d}": lambda: draw.digits(1, 3)}
    for slot, value in values.items():
        while slot in prose:
            prose = prose.replace(slot, value(), 1)
    return prose


def zone(draw: Draw) -> str:
    if draw.chance(0.6):
        return draw.any(ZONES)
    return f"{draw.any(('Europe', 'America', 'Asia', 'Africa'))}/{draw.city().replace(' ', '_')}"


CITY = Argument(
    ("city", "location", "city", "location", "place", "city_name", "town"),
    "string",
    "The name of the city|The city|The city to look up, e.g. Paris|The location, e.g. New York, NY|City and country",
    Draw.city,
)
CELSIUS = ("celsius", "fahrenheit")
UNIT = Argument(
    ("unit", "format", "units"),
    "string",
    "The temperature unit|The unit to use, 'celsius' or 'fahrenheit'",
    lambda d: d.any(CELSIUS),
    CELSIUS,
    " in {}",
)


def _arg(names: str, kind: str, description: str, draw: Callable[[Draw], object], **more: object) -> Argument:
    return Argument(tuple(names.split()), kind, description, draw, **more)  # type: ignore[arg-type]


A = _arg("a x first num1 left n1 number1", "number", "The first number", number)
B = _arg("b y second num2 right n2 number2", "number", "The second number", number)
QUERY = _arg(
    "query q search_query text term",
    "string",
    "What to search for|The search query|The query|The words to search for",
    text,
)
PERSON = _arg("person name to recipient contact user", "string", "The name of the person", Draw.name)
FILE = _arg("path file filename file_path", "string", "The path of the file", path)

PURPOSES = (
    Purpose(("get_weather", "get_current_weather", "weather", "current_weather", "getWeather", "fetch_weather",
    "weather_lookup"),
        ("Get the current weather", "Get the current weather in a city", "Get the current weather for a location",
        "Returns the weather of a place",
         "Look up the weather"), (CITY, UNIT),
        ("What is the weather in {0}?", "What's the weather in {0}?", "How is the weather in {0}?", "weather in {0}",
        "Is it raining in {0}?",
         "Tell me the weather in {0}.", "What is the weather like in {0}?", "How warm is it in {0}?",
         "What is the temperature in {0}?",
         "Do I need an umbrella in {0}?", "what is the weather like today in {0}?", "How is the weather today in {0}?",
         "Please tell me the weather for {0}.", "Get the weather for {0}.", "Weather for {0}, please",
         "What's the weather like today in {0}?", "what's the weather in {0} today?",
         "What is the weather today in {0}?", "What's the weather like in {0}?",
         "What is the current weather in {0}?",
         "Can you check the weather in {0}?", "How's the weather in {0} today?")),
    Purpose(("get_forecast", "weather_forecast", "forecast", "get_weather_forecast"),
    ("Get the weather forecast for the next days", "Weather forecast"),
        (CITY, _arg("days n_days num_days", "integer", "How many days", small)),
        ("Give me the forecast for {0} for {1} days.", "What is the {1} day forecast for {0}?",
        "Forecast for {0}, {1} days", "How will the weather be in {0} in the next {1} days?",
         "Show the weather forecast of {0} for {1} days.", "I need a forecast for {0} for {1} days.",
         "Forecast the weather in {0} for {1} days.")),
    Purpose(("get_time", "get_current_time", "current_time", "time", "clock"), ("Get the current time",
    "Get the current time in a timezone", "Returns the time"),
        (_arg("timezone tz zone time_zone", "string",
        "The timezone, for example Europe/Berlin|The timezone|The IANA timezone, e.g. UTC|Name of the timezone",
        zone),),
        ("What time is it in {0}?", "Tell me the time in {0}.", "current time in {0}", "time in {0}",
        "What is the time in {0}?", "How late is it in {0}?",
         "Give me the time for {0}.", "What's the time in {0}?", "Which time is it in {0}?",
         "What is the current time in {0}?")),
    Purpose(("get_time", "get_city_time", "local_time", "time_in_city"), ("Get the local time of a city",
    "The time in a city"), (CITY,),
        ("What time is it in {0}?", "Tell me the time in {0}.", "What is the local time in {0}?",
        "How late is it in {0}?", "local time {0}",
         "What's the time in {0}?", "Which time is it in {0}?", "What is the current time in {0}?")),
    Purpose(("search", "web_search", "search_web", "google", "find"), ("Search the web", "Search for information",
    "Search the internet", "Web search"), (QUERY,),
        ("Search for {0}", "search {0}", "Please search for {0}", "Look up {0}", "Find information about {0}",
        "Search the web for {0}", 'Search for "{0}".',
         "Google {0}", "Find {0}", "Can you search for {0}?", "Do a web search for {0}",
         "Search the internet for {0}")),
    Purpose(("add", "add_numbers", "sum", "add_two_numbers", "plus", "addition"), ("Add two numbers",
    "Adds two numbers", "Add two numbers together", "Returns the sum of two numbers"), (A, B),
        ("What is {0} + {1}?", "Add {0} and {1}.", "{0} + {1}", "{0}+{1}", "How much is {0} plus {1}?",
        "What is the sum of {0} and {1}?", "Calculate {0} + {1}.",
         "add {0} and {1}", "Please add {0} to {1}.", "What do {0} and {1} make?", "What is {0} plus {1}?",
         "What's {0}+{1}?")),
    Purpose(("multiply", "multiply_numbers", "times", "product", "mul"), ("Multiply two numbers",
    "Returns the product of two numbers"), (A, B),
        ("What is {0} * {1}?", "Multiply {0} and {1}.", "{0} * {1}", "How much is {0} times {1}?",
        "What is the product of {0} and {1}?", "Calculate {0} * {1}.",
         "{0} x {1}", "Multiply {0} by {1}.", "What is {0} times {1}?")),
    Purpose(("subtract", "subtract_two_numbers", "minus", "difference"), ("Subtract two numbers", "Returns a minus b",
    "Subtract the second number from the first"), (A, B),
        ("What is {0} - {1}?", "{0} - {1}", "How much is {0} minus {1}?", "Calculate {0} - {1}.", "{0} minus {1}",
        "What's {0} - {1}?", "What is {0} minus {1}?")),
    Purpose(("divide", "division", "divide_numbers"), ("Divide two numbers", "Divide a by b"), (A, B),
        ("What is {0} / {1}?", "Divide {0} by {1}.", "{0} / {1}", "How much is {0} divided by {1}?",
        "Calculate {0} / {1}.", "{0} divided by {1}", "What is {0} divided by {1}?")),
    Purpose(("send_email", "email", "send_mail", "sendEmail"), ("Send an email", "Sends an email to somebody"),
        (_arg("to recipient address email", "string", "The address of the recipient", mail), _arg("subject title",
        "string", "The subject", text)),
        ("Send an email to {0} with the subject {1}", "Email {0} about {1}", "Write a mail to {0} with subject {1}",
        'Send {0} an email with the subject "{1}".',
         "Send a mail to {0} about {1}", "Please email {0} about {1}", 'Send an email to {0}, subject "{1}"')),
    Purpose(("send_message", "message", "send_text", "text_person", "notify"), ("Send a message to a person",
    "Sends a text message"),
        (PERSON, _arg("message text content body", "string", "The text of the message", text)),
        ("Send {0} the message {1}", "Tell {0}: {1}", "Send a message to {0}: {1}", 'Send "{1}" to {0}.',
        "Message {0} {1}", "Text {0}: {1}", "Write to {0}: {1}",
         "Send this message to {0}: {1}", 'Send {0} the text "{1}".')),
    Purpose(("set_alarm", "alarm", "create_alarm", "wake_me"), ("Set an alarm", "Sets the alarm clock"),
    (_arg("time at when", "string", "The time, HH:MM", clock),),
        ("Wake me at {0}.", "Set an alarm for {0}.", "Alarm at {0}", "Set the alarm to {0}.",
        "I want to get up at {0}.", "Set an alarm at {0}, please.", "Please set my alarm for {0}.")),
    Purpose(("set_timer", "start_timer", "timer", "countdown"), ("Start a timer", "Set a timer for some minutes"),
    (_arg("minutes duration mins length", "integer", "The minutes", small),),
        ("Set a timer for {0} minutes.", "Start a timer of {0} minutes.", "Timer {0} minutes",
        "Start a {0} minute timer.", "Count down {0} minutes.",
         "Can you set a timer for {0} minutes?", "I need a timer for {0} minutes.")),
    Purpose(("play_music", "play_song", "play", "music"), ("Play a song", "Play music", "Plays a song by name"),
    (_arg("song title track name", "string", "The name of the song", text),),
        ("Play {0}", "Play the song {0}", 'Play "{0}".', "I want to hear {0}", "Please play {0}", "Put on {0}",
        "Can you play {0}?", "Play some music: {0}")),
    Purpose(("translate", "translate_text", "translator"), ("Translate a text", "Translate text to another language"),
        (_arg("text sentence phrase content", "string", "The text", text),
        _arg("language target target_language to lang", "string", "The language", lambda d: d.any(LANGUAGES))),
        ("Translate {0} to {1}.", 'Translate "{0}" into {1}.', "How do you say {0} in {1}?", "What is {0} in {1}?",
        'Say "{0}" in {1}.', "Please translate {0} to {1}.", "Translate to {1}: {0}")),
    Purpose(("convert_currency", "exchange", "currency_converter", "convert"), ("Convert money between currencies",
    "Convert an amount to another currency"),
        (_arg("amount value sum", "number", "The amount", number), _arg("from source from_currency base", "string",
        "The currency", lambda d: d.any(CURRENCIES)),
         _arg("to target to_currency", "string", "The new currency", lambda d: d.any(CURRENCIES))),
        ("Convert {0} {1} to {2}.", "How much is {0} {1} in {2}?", "Change {0} {1} into {2}.", "{0} {1} in {2}",
        "What are {0} {1} in {2}?", "Exchange {0} {1} to {2}.", "Please convert {0} {1} into {2}.")),
    Purpose(("get_stock_price", "stock_price", "stock", "getStockPrice", "quote"), ("Get the price of a stock",
    "Current stock price"),
        (_arg("symbol ticker stock", "string", "The symbol of the stock", lambda d: d.made_up()[:4].upper()),),
        ("What is the stock price of {0}?", "How much is {0} stock?", "Price of {0}", "stock {0}",
        "Get the stock price of {0}.", "What is {0} trading at?", "What is the price of {0} stock?",
        "How is the {0} stock doing?")),
    Purpose(("search_flights", "find_flights", "flights", "book_flight"), ("Find flights between two cities",
    "Search flights"),
        (_arg("from origin departure from_city start", "string", "Where the flight starts", Draw.city),
        _arg("to destination arrival to_city end", "string", "Where the flight goes", Draw.city),
         _arg("date day departure_date", "string", "The date, YYYY-MM-DD", date, optional=" on {}")),
        ("Find a flight from {0} to {1}", "Flights from {0} to {1}", "I want to fly from {0} to {1}",
        "Search flights from {0} to {1}", "I need a flight from {0} to {1}", "Fly me from {0} to {1}",
        "Book a flight from {0} to {1}")),
    Purpose(("book_hotel", "find_hotel", "hotel", "search_hotels"), ("Find a hotel", "Book a hotel in a city"), (CITY,
    _arg("nights n_nights duration", "integer", "The number of nights", small)),
        ("Book a hotel in {0} for {1} nights.", "I need a hotel in {0} for {1} nights.", "Hotel in {0}, {1} nights",
        "Find a hotel in {0} for {1} nights.", "I stay in {0} for {1} nights and need a hotel.",
         "Please find me a hotel in {0} for {1} nights.")),
    Purpose(("create_event", "add_event", "calendar", "new_event"), ("Create a calendar event",
    "Add an event to the calendar"),
        (_arg("title name event summary", "string", "The title", text), _arg("date day when", "string",
        "The date, YYYY-MM-DD", date)),
        ("Create the event {0} on {1}.", "Add {0} to my calendar on {1}.", "New event {0} on {1}",
        'Put "{0}" into the calendar on {1}.', "Plan {0} for {1}.", "I have {0} on {1}.",
        "Make a calendar event {0} on {1}.")),
    Purpose(("get_recipe", "find_recipe", "recipe", "cook"), ("Get a recipe", "Find a recipe for a dish"),
    (_arg("dish food meal name", "string", "The dish", text),),
        ("How do I cook {0}?", "Give me a recipe for {0}", "Recipe for {0}", "Find a recipe for {0}",
        "I want to cook {0}", "How is {0} cooked?", "Show me a recipe for {0}")),
    Purpose(("set_light", "switch_light", "light", "control_light", "toggle_light"), ("Switch a light",
    "Turn a light on or off"),
        (_arg("room where place", "string", "The room", lambda d: d.any(ROOMS)), _arg("state on_off status", "string",
        "on or off", lambda d: d.any(("on", "off")), choices=("on", "off"))),
        ("Turn {1} the light in the {0}.", "Switch the {0} light {1}.", "Turn the light in the {0} {1}.",
        "{0} light {1}", "Light {1} in the {0}, please.", "Switch {1} the light in the {0}.",
        "Please turn the {0} light {1}.")),
    Purpose(("set_volume", "volume", "change_volume"), ("Set the volume", "Changes the volume"),
    (_arg("level volume percent value", "integer", "The volume, 0 to 100", lambda d: d.number(0, 100)),),
        ("Set the volume to {0}.", "Volume {0}", "Change the volume to {0}.", "Turn the volume to {0} percent.",
        "Put the volume at {0}.", "Make the volume {0}.")),
    Purpose(("read_file", "open_file", "cat", "get_file", "readFile"), ("Read a file", "Read the contents of a file",
    "Open a file"), (FILE,),
        ("Read the file {0}", "What is in {0}?", "Open {0}", "Show me {0}", "Read {0}", "Print the file {0}",
        "Show the contents of {0}", "What does the file {0} contain?")),
    Purpose(("delete_file", "remove_file", "rm", "deleteFile"), ("Delete a file", "Remove a file from the disk"),
    (FILE,),
        ("Delete the file {0}", "Remove {0}", "Delete {0}", "Get rid of {0}", "rm {0}", "Please delete {0}",
        "Remove the file {0}")),
    Purpose(("list_files", "ls", "list_directory", "dir"), ("List the files in a directory", "List a folder"),
    (_arg("directory path folder dir", "string", "The folder", lambda d: "/" + d.word()),),
        ("List the files in {0}", "What is in the folder {0}?", "ls {0}", "Show the files in {0}",
        "Which files are in {0}?", "List the folder {0}", "Show me the files of {0}")),
    Purpose(("random_number", "get_random_number", "random", "random_int"), ("Get a random number",
    "Returns a random number between two numbers"),
        (_arg("min low from minimum", "integer", "The smallest number", small), _arg("max high to maximum", "integer",
        "The largest number", lambda d: d.number(31, 1000))),
        ("Give me a random number between {0} and {1}.", "Random number from {0} to {1}",
        "Pick a number between {0} and {1}.", "random {0} {1}", "Choose a number from {0} to {1}.",
        "I need a random number between {0} and {1}.")),
    Purpose(("roll_dice", "dice", "roll"), ("Roll a die", "Roll the dice"), (_arg("sides n_sides faces", "integer",
    "How many sides", small),),
        ("Roll a die with {0} sides.", "Roll a {0} sided die.", "Roll the dice, {0} sides", "Throw a {0} sided die.",
        "Dice with {0} sides", "Please roll a die with {0} sides.")),
    Purpose(("get_user", "find_user", "user_info", "lookup_user"), ("Get a user", "Look up a user by id"),
    (_arg("user_id id uid", "string", "The id of the user", identifier),),
        ("Who is user {0}?", "Get the user {0}.", "Look up user {0}.", "Show me user {0}.", "user {0}",
        "Find the user with the id {0}.", "Tell me about user {0}.")),
    Purpose(("order_status", "get_order", "check_order", "get_order_status"), ("Get the status of an order",
    "Check an order"), (_arg("order_id id order number", "string", "The order", identifier),),
        ("Where is my order {0}?", "What is the status of order {0}?", "Check order {0}.", "order {0}",
        "Look up my order {0}.", "How is my order {0} doing?", "Show the status of order {0}.")),
    Purpose(("create_note", "add_note", "note", "save_note", "remember"), ("Save a note", "Create a note"),
    (_arg("text note content body", "string", "The note", text),),
        ("Note: {0}", "Write down {0}", "Make a note: {0}", 'Save the note "{0}".', "Take a note: {0}",
        "Create a note: {0}", "Add a note: {0}")),
    Purpose(("get_news", "news", "latest_news", "headlines"), ("Get the news", "Latest news about a topic"),
    (_arg("topic subject category about", "string", "The topic", Draw.word),),
        ("What is the news about {0}?", "News about {0}", "Tell me the news about {0}.", "Any news on {0}?",
        "Show me the latest news about {0}.", "What's new about {0}?", "Get me the news on {0}.")),
    Purpose(("get_date", "today", "current_date", "get_current_date"), ("Get the date of today",
    "Returns the current date"), (),
        ("What is the date?", "Which date is today?", "What date is it?", "Tell me the date.", "today's date",
        "What is the date today?", "What is today's date?")),
    Purpose(("calculate", "calculator", "evaluate", "math"), ("Calculate an expression",
    "Evaluates a mathematical expression"),
        (_arg("expression formula input expr", "string", "The expression",
        lambda d: f"{number(d)} {d.any('+-*/')} {number(d)}"),),
        ("What is {0}?", "Calculate {0}", "{0}", "How much is {0}?", "Compute {0}", "Please calculate {0}",
        "Evaluate {0}")),
    Purpose(("wikipedia", "get_article", "wiki", "lookup"), ("Look up an article", "Search Wikipedia"),
    (_arg("title topic article page", "string", "The title", Draw.word),),
        ("Look up {0} in Wikipedia.", "What does Wikipedia say about {0}?", "wiki {0}", "Find the article about {0}.",
        "Look up the article {0}.", "Open the Wikipedia page about {0}.")),
    Purpose(("count_words", "word_count", "n_words"), ("Count the words of a text",),
    (_arg("text content sentence", "string", "The text", text),),
        ('How many words has "{0}"?', "Count the words: {0}", "Count the words of {0}", 'How many words are in "{0}"?',
        'Count the words in "{0}".')),
    Purpose(("uppercase", "to_upper", "upper_case"), ("Write a text in capital letters",),
    (_arg("text string input", "string", "The text", text),),
        ("Write {0} in capital letters", "Uppercase {0}", 'Make "{0}" upper case.', 'Put "{0}" in capital letters.',
        "To upper case: {0}")),
    Purpose(("spell_word", "spell", "spelling"), ("Spell a word", "Check the spelling of a word"),
    (_arg("word term text", "string", "The word", Draw.word),),
        ("Spell {0}.", "How is {0} spelled?", "Spell the word {0}.", "How do you spell {0}?",
        "Can you spell {0}?", "Please spell {0}.")),
    Purpose(("get_synonym", "synonyms", "thesaurus"), ("Find a synonym", "Find words of the same meaning"),
    (_arg("word term text", "string", "The word", Draw.word),),
        ("Give me a synonym for {0}.", "Another word for {0}?", "synonym of {0}", "What is a synonym of {0}?",
        "Find a synonym for {0}.")),
    Purpose(("find_rhyme", "rhyme", "rhymes"), ("Find a rhyme",), (_arg("word text", "string", "The word",
    Draw.word),),
        ("What rhymes with {0}?", "Find a rhyme for {0}.", "rhyme {0}", "Which word rhymes with {0}?",
        "Give me a rhyme for {0}.")),
    Purpose(("get_traffic", "traffic", "traffic_report"), ("Get the traffic in a city",), (CITY,),
        ("How is the traffic in {0}?", "traffic in {0}", "Is there much traffic in {0}?",
        "Show me the traffic in {0}.", "What's the traffic like in {0}?")),
    Purpose(("find_restaurant", "restaurants", "search_restaurants"), ("Find restaurants in a city",), (CITY,),
        ("Where can I eat in {0}?", "Find a restaurant in {0}.", "restaurants in {0}", "I am hungry in {0}.",
        "Show me restaurants in {0}.", "Which restaurants are in {0}?")),
    Purpose(("get_mayor", "mayor", "city_mayor"), ("Get the mayor of a city",), (CITY,),
        ("Who is the mayor of {0}?", "mayor of {0}", "Tell me the mayor of {0}.", "Who runs {0}?",
        "What is the name of the mayor of {0}?")),
    Purpose(("get_route", "route", "directions", "navigate"), ("Get directions", "Find the way between two places"),
        (_arg("from start origin", "string", "Where to start", Draw.city), _arg("to end destination goal", "string",
        "Where to go", Draw.city)),
        ("How do I get from {0} to {1}?", "Route from {0} to {1}", "Show me the way from {0} to {1}.",
        "directions from {0} to {1}", "Navigate from {0} to {1}.", "I want to drive from {0} to {1}.")),
    Purpose(("book_train", "find_train", "train"), ("Find a train between two cities",),
        (_arg("from start origin departure", "string", "The first station", Draw.city),
        _arg("to end destination arrival", "string", "The last station", Draw.city)),
        ("Take me by train from {0} to {1}.", "Train from {0} to {1}", "I need a train from {0} to {1}.",
        "When does a train go from {0} to {1}?", "Find a train from {0} to {1}.")),
    Purpose(("book_taxi", "call_taxi", "taxi"), ("Call a taxi",), (_arg("place from pickup where", "string",
    "Where to be picked up", Draw.city), _arg("time at when", "string", "The time, HH:MM", clock)),
        ("I need a taxi in {0} at {1}.", "Taxi in {0} at {1}", "Order a taxi for {1} in {0}.",
        "Send a taxi to {0} at {1}.", "Call a taxi to {0} at {1}.")),
    Purpose(("reserve_room", "book_room", "meeting_room"), ("Reserve a meeting room",),
        (_arg("people n_people persons guests", "integer", "How many people", small), _arg("date day when", "string",
        "The date, YYYY-MM-DD", date)),
        ("Reserve a room for {0} people on {1}.", "I need a room for {0} people on {1}.", "Room for {0} on {1}",
        "Book a meeting room on {1} for {0} people.", "We are {0} and need a room on {1}.")),
    Purpose(("set_brightness", "dim_light", "brightness"), ("Set how bright the light of a room is",),
        (_arg("room where place", "string", "The room", lambda d: d.any(ROOMS)), _arg("level percent brightness value",
        "integer", "The brightness, 0 to 100", lambda d: d.number(0, 100))),
        ("Dim the {0} to {1} percent.", "Brightness of the {0} to {1}", "Set the {0} light to {1} percent.",
        "Set the brightness in the {0} to {1}.", "Make the {0} {1} percent bright.")),
    Purpose(("cancel_order", "stop_order", "cancel"), ("Cancel an order",), (_arg("order_id id order number", "string",
    "The order", identifier),),
        ("Cancel my order {0}.", "Stop the order {0}.", "I do not want order {0} any more.", "cancel {0}",
        "Please cancel {0}.")),
    Purpose(("get_invoice", "invoice", "find_invoice"), ("Get an invoice", "Look up an invoice by its number"),
    (_arg("invoice_number number id invoice_id", "string", "The number of the invoice", identifier),),
        ("Show me the invoice {0}.", "invoice {0}", "I need the invoice {0}.", "Get invoice {0}.",
        "Where is the invoice {0}?", "Find the invoice number {0}.")),
    Purpose(("call_person", "phone", "make_call"), ("Call a person on the phone",), (PERSON,),
        ("Call {0}.", "Phone {0}, please.", "I want to talk to {0}.", "Ring {0}.", "Give {0} a call.")),
    Purpose(("invite", "invite_person", "send_invitation"), ("Invite a person",), (PERSON, _arg("date day when",
    "string", "The date, YYYY-MM-DD", date)),
        ("Invite {0} for {1}.", "Ask {0} to come on {1}.", "Please invite {0} on {1}.", "Invite {0} on {1}",
        "I want {0} to come on {1}.")),
    Purpose(("square_root", "sqrt", "root"), ("Get the square root of a number",), (_arg("number x n value", "number",
    "The number", number),),
        ("What is the square root of {0}?", "square root of {0}", "sqrt({0})", "Root of {0}?",
        "Calculate the square root of {0}.")),
    Purpose(("buy_tickets", "order_tickets", "tickets"), ("Buy tickets",), (_arg("count number n how_many", "integer",
    "How many tickets", small), _arg("event show title name", "string", "The event", text)),
        ("Buy {0} tickets for {1}", "I need {0} tickets for {1}", "{0} tickets for {1}", "Get me {0} tickets for {1}",
        "Order {0} tickets for {1}")),
)  # fmt: skip

# What most tutorials call; asked more often.
TUTORIAL = tuple(p for p in PURPOSES if p.names[0] in ("get_weather", "get_time", "search", "add"))

HELD_OUT = (
    Purpose(("get_population", "population"), ("Get the population of a city",), (CITY,),
    ("What is the population of {0}?", "How many people live in {0}?")),
    Purpose(("count_letters", "letter_count"), ("Count the letters of a word",), (_arg("word text", "string",
    "The word", Draw.word),),
        ("Count the letters of {0}.", "How many letters are in {0}?")),
    Purpose(("define_word", "dictionary"), ("Get the definition of a word",), (_arg("word term", "string", "The word",
    Draw.word),),
        ("Define the word {0}.", "What is the definition of {0}?")),
    Purpose(("book_table", "reserve_table"), ("Book a table in a restaurant",),
        (_arg("people guests", "integer", "How many people", small), _arg("time at", "string", "The time, HH:MM",
        clock)),
        ("Book a table for {0} people at {1}.", "I need a table for {0} at {1}.")),
    Purpose(("get_distance", "distance"), ("Get the distance between two cities",),
        (_arg("from start origin", "string", "The first city", Draw.city), _arg("to end destination", "string",
        "The second city", Draw.city)),
        ("What is the distance from {0} to {1}?", "How far is it from {0} to {1}?")),
    Purpose(("set_temperature", "set_thermostat"), ("Set the temperature of a room",),
        (_arg("room where", "string", "The room", lambda d: d.any(ROOMS)), _arg("temperature degrees", "number",
        "The temperature", small)),
        ("Set the {0} to {1} degrees.", "Set the temperature of the {0} to {1}.")),
    Purpose(("track_package", "track_parcel"), ("Track a package",), (_arg("tracking_number number", "string",
    "The tracking number", identifier),),
        ("Track the package {0}.", "Where is my package {0}?")),
    Purpose(("reverse_text", "reverse"), ("Reverse a text",), (_arg("text input", "string", "The text", text),),
    ("Reverse the text {0}", 'Reverse "{0}".')),
    Purpose(("get_sunrise", "sunrise_time"), ("Get the time of the sunrise in a city",), (CITY,),
    ("When is the sunrise in {0}?", "At what time is sunrise in {0}?")),
)  # fmt: skip
