"""A GBNF grammar that a sequence has to follow.

llama.cpp's engine judges every token.  Beside it goes our own machine over the
same rules (`power.grammar.Machine`), which knows what the engine cannot be
asked: which characters may come next, what must come, and whether the answer is
complete.  With it, few tokens have to be put before the engine, and what the
engine said is remembered for as long as the grammar is.  The machine may give
up -- on a grammar that is too large or too ambiguous -- and then all tokens are
put before the engine.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

from power.grammar import Machine, State
from power.grammar.errors import TooLarge
from power.grammar.expressions import Expr
from power.worker.candidates import Candidates, likeliest
from power.worker.lexicon import Lexicon
from power.worker.pieces import Pieces, stays_text
from power.worker.vocab import Vocab

Mask = NDArray[np.bool_]  # by token
Ids = NDArray[np.int32]

# The machine's limits; past them it gives up. A state takes about a kilobyte.
MAX_NODES = 100_000
MAX_PLACES = 300
MAX_STATES = 10_000
MAX_GRAMMARS = 16  # remembered
MAX_LEXICONS = 4  # remembered
MAX_MASKS = 256  # remembered of each grammar: one bit for each token, 19 kB for 152k
WIDER = 16  # times k tokens are tried before all are


class Known:
    """What is known of one grammar, for all sequences that follow it.

    Attributes:
        start: the machine's first state; None if it has given up at once.
    """

    def __init__(self, rules: Mapping[str, Expr], n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self._masks: OrderedDict[State, NDArray[np.uint8]] = OrderedDict()
        self._machine = _machine(rules) if rules else None
        self.start = self._machine.start if self._machine else None

    @property
    def is_worn(self) -> bool:
        """Whether the machine has had all the states it may have, so that a new one would go further."""
        return self._machine is not None and self._machine.n_states >= MAX_STATES

    def mask(self, state: State) -> Mask | None:
        packed = self._masks.get(state)
        if packed is None:
            return None
        self._masks.move_to_end(state)
        return np.unpackbits(packed, count=self._n_vocab).view(np.bool_)

    def remember(self, state: State, mask: Mask) -> None:
        self._masks[state] = np.packbits(mask)
        if len(self._masks) > MAX_MASKS:
            self._masks.popitem(last=False)


class Grammars:
    """Opens grammars; the ones used last are remembered."""

    def __init__(self, vocab: Vocab, candidates: Candidates) -> None:
        self.pieces = Pieces(vocab)
        self._vocab = vocab
        self._candidates = candidates
        self._lexicons: OrderedDict[tuple[int, ...], Lexicon] = OrderedDict()  # by the control tokens that show
        self._known: OrderedDict[tuple[str, bool, tuple[int, ...]], Known] = OrderedDict()

    def open(self, text: str, rules: Mapping[str, Expr], visible: Sequence[str] = ()) -> Grammar:
        """Raises ValueError for a text that is not GBNF, or has no rule `root`.

        A grammar may ask for the texts of control tokens if they are `visible` in the answer.
        """
        marks = self._vocab.marks(visible)
        shown = tuple(sorted(marks))
        lexicon = self._lexicon(shown, marks)
        pointer = c.llama_sampler_init_grammar(self._vocab.pointer, text.encode(errors="replace"), b"root")
        if not pointer:
            raise ValueError("the grammar is not valid GBNF")
        key = text, bool(rules), shown
        known = self._known.pop(key, None)
        if known is None or known.is_worn:
            known = Known(rules, self._vocab.n_tokens)
        self._known[key] = known
        if len(self._known) > MAX_GRAMMARS:
            self._known.popitem(last=False)
        return Grammar(pointer, known, self._vocab, lexicon, self._candidates)

    def _lexicon(self, shown: tuple[int, ...], marks: Mapping[int, bytes]) -> Lexicon:
        self.pieces.finish()
        lexicon = self._lexicons.pop(shown, None) or Lexicon(self._vocab, self.pieces, marks)
        self._lexicons[shown] = lexicon
        if len(self._lexicons) > MAX_LEXICONS:
            self._lexicons.popitem(last=False)
        return lexicon


class Grammar:
    """One sequence's way through a grammar; owns a C object until `close`."""

    def __init__(
        self, pointer: c.llama_sampler_p, known: Known, vocab: Vocab, lexicon: Lexicon, candidates: Candidates
    ) -> None:
        self._pointer = pointer
        self._is_open = True
        self._known = known
        self._state = known.start  # None: the machine has given up
        self._half = b""  # of a character whose other bytes are still to come
        self._vocab = vocab
        self._lexicon = lexicon
        self._candidates = candidates
        self._one = c.llama_token_data()
        self._array = c.llama_token_data_array(ctypes.pointer(self._one), 1, -1, False)

    def __repr__(self) -> str:
        return f"<Grammar in {self._state!r}>"

    def allows(self, token: int) -> bool:
        """Whether the token may come next; an end token may where the grammar may end."""
        piece = self._lexicon.piece(token)
        if not self._vocab.is_eog(token) and not (piece and stays_text(self._half + piece)):
            return False
        self._one.id = token  # type: ignore[assignment]  # ctypes takes an int
        self._one.logit = 0.0
        c.llama_sampler_apply(self._pointer, ctypes.byref(self._array))
        return self._one.logit > float("-inf")

    def accept(self, token: int) -> None:
        """Go on with a token that is allowed and does not end the answer.

        Raises:
            AssertionError: it is not allowed; llama.cpp would end the process.
        """
        if not self.allows(token):
            raise AssertionError(f"the grammar does not allow token {token}")
        c.llama_sampler_accept(self._pointer, token)
        data = self._half + self._lexicon.piece(token)
        text = data.decode(errors="ignore")  # all but half a character at the end
        self._half = data[len(text.encode()) :]
        self._state = _after(self._state, text)

    @property
    def is_complete(self) -> bool:
        """Whether nothing can come any more but the end; False also if that is not known."""
        return self._state is not None and not self._half and self._state.must_end

    def forced(self) -> tuple[int, ...]:
        """Tokens that spell the text that must come next, as far as it is known and one spelling is best."""
        if self._state is None or self._half:
            return ()
        try:
            text = self._state.forced
        except (TooLarge, RecursionError):
            self._state = None
            return ()
        return self._lexicon.spelt(text) if text else ()

    def allowed(self, logits: NDArray[np.float32], k: int) -> Ids:
        """Tokens that may come next, with logits above minus infinity; the `k` likeliest (0: all) are among them."""
        mask = self._known.mask(self._state) if self._state is not None and not self._half else None
        if mask is None and k > 0 and not self._narrow:
            near = likeliest(logits, WIDER * k)
            ids = None if near is None else self._judged(near, logits)
            if ids is not None and len(ids) >= k:
                return ids
        if mask is None:
            mask = self._mask()
        near = likeliest(np.where(mask, logits, -np.inf), k) if k > 0 else None
        ids = np.flatnonzero(mask).astype(np.int32) if near is None else near
        return ids[logits[ids] > -np.inf]

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            c.llama_sampler_free(self._pointer)

    @property
    def _narrow(self) -> bool:
        """Whether only some ASCII characters can come next, so that looking at all tokens with them is cheap."""
        return self._state is not None and not self._half and all(high < 128 for _, high in _ranges(self._state))

    def _mask(self) -> Mask:
        """All tokens, judged."""
        zeros = np.zeros(self._vocab.n_tokens, np.float32)
        mask = np.zeros(self._vocab.n_tokens, np.bool_)
        mask[self._judged(self._possible(), zeros)] = True
        if self._state is not None and not self._half:
            self._known.remember(self._state, mask)
        return mask

    def _possible(self) -> Ids | None:
        """The tokens that begin with what the machine says may come next; None: any."""
        if self._state is None or self._half:
            return None
        found = [self._lexicon.ends] if self._state.may_end else []
        reach = -1
        for low, high in _ranges(self._state):
            # The first bytes of other characters are not told apart.
            first, last = (min(point, 128) for point in (low, high))
            first = max(first, reach + 1)
            last = 255 if last == 128 else last
            if first <= last:
                found.append(self._lexicon.beginning_with(first, last))
                reach = last
        return np.concatenate(found) if found else np.empty(0, np.int32)

    def _judged(self, ids: Ids | None, logits: NDArray[np.float32]) -> Ids:
        """Those of `ids` (None: of all) that the engine lets through, and that leave the answer UTF-8."""
        self._candidates.set(ids, logits)
        self._candidates.apply(self._pointer)
        allowed = self._candidates.allowed
        return allowed[self._lexicon.following(self._half)[allowed]]


def _machine(rules: Mapping[str, Expr]) -> Machine | None:
    try:
        return Machine(rules, max_nodes=MAX_NODES, max_places=MAX_PLACES, max_states=MAX_STATES)
    except (TooLarge, RecursionError):
        return None


def _ranges(state: State) -> list[tuple[int, int]]:
    return sorted(one for ranges in state.reads for one in ranges)


def _after(state: State | None, text: str) -> State | None:
    """The state after a text; None where the machine gives up."""
    try:
        for char in text:
            if state is None:
                return None
            state = state.after(char)
    except (TooLarge, RecursionError):
        return None
    return state
