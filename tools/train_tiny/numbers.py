"""Skills: sums, and counting."""

from __future__ import annotations

from .draw import Draw, is_held_out
from .turns import Memory, Turn, rough

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
    return Turn(rough(draw, question, keep_case=True), thought, f"{a} + {b} = {a + b}", "addition")


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
