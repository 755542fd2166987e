"""Asking: questions become requests, relative clauses lose their verb, and limits and negations find what they bind.

Nothing that asks, limits or negates is dropped: what is no request here stays in the phrase as a word that is not
understood ("how many", "is the dog red").
"""

from __future__ import annotations

from lark import Token

from fiducial.language.candidates import COLOURS
from fiducial.language.phrases.nouns import word_set
from fiducial.language.phrases.words import DESCRIBING, ITEMS, LINKS, NAMING, as_kind, end_of_items, kind_at

_DROPPED = frozenset(("COURTESY", "IMAGE"))
_VERB_NOUNS = frozenset(("mask", "mark", "label", "outline", "segment", "trace", "cut"))
_BE = frozenset(("is", "are", "was", "were"))
_STANCES = word_set("lie lies sit sits stand stands appear appears remain remains")
"""Verbs after "that" and "which" that say no more than "is"."""
_PICKING = ("SUPERLATIVE", "ORDINAL", "CLOSEST")
_SEPARATORS = ("AND", "COMMA", "EXCEPT", "LIMIT")


def opened(tokens: list[Token]) -> list[Token]:
    """Drop what is said around the request, and turn a question into the request that it makes.

    Request verbs further on are nouns, unless they begin another request ("and show me the dog").
    """
    asked: list[Token] = []
    rest = [token for token in tokens if token.type not in _DROPPED]
    while rest and (rest[0].type == "REQUEST" or (asked and rest[0].type in ("AND", "COMMA"))):
        asked.append(rest.pop(0))
    verbs = [token for token in asked if str(token) in _VERB_NOUNS]
    if verbs and (not rest or rest[0].type in ("PLACE", "BETWEEN", "EXCEPT")):
        rest.insert(0, as_kind(verbs[-1], "WORD"))
    rest = _related(_pointed(_requested(rest)))
    again = [
        token.type == "REQUEST" and kind_at(rest, k - 1) in ("AND", "COMMA") and kind_at(rest, k + 1) in ITEMS
        for k, token in enumerate(rest)
    ]
    rest = [token for token, is_again in zip(rest, again, strict=True) if not is_again]  # "and show me the dog"
    rest = _led_by_exclusion(rest)
    renamed = {"REQUEST": "WORD", "COMPOUND": "WORD"}
    return [as_kind(token, renamed.get(token.type, token.type)) for token in rest if token.type != "COPULA"]


def _pointed(tokens: list[Token]) -> list[Token]:
    """Read "those on the left" and "those that are red" as the ones there."""
    return [
        as_kind(token, "PRONOUN", "ones")
        if token in ("those", "these") and (kind_at(tokens, k + 1) not in ITEMS or tokens[k + 1] == "that")
        else token
        for k, token in enumerate(tokens)
    ]


def _led_by_exclusion(tokens: list[Token]) -> list[Token]:
    """Put what leads and is left out behind what is asked for: "except the red ones, all cars"."""
    comma = next((k for k, token in enumerate(tokens) if token.type == "COMMA"), 0)
    if not comma or tokens[0].type != "EXCEPT" or kind_at(tokens, comma + 1) not in ITEMS:
        return tokens
    return [*tokens[comma + 1 :], *tokens[:comma]]


# -- questions --------------------------------------------------------------------------------------------


def _requested(tokens: list[Token]) -> list[Token]:
    """Return the request that a question makes; the word that asks is kept, not understood, where it makes none."""
    if not tokens or (tokens[0].type != "ASK" and str(tokens[0]) not in _BE):
        return tokens
    word, rest = tokens[0], tokens[1:]
    while rest and str(rest[-1]) in ("are there", "is there"):
        rest = rest[:-1]
    refused = [as_kind(word, "PLAIN"), *rest]
    if word == "where":
        return rest if rest and "COPULA" in (rest[0].type, rest[-1].type) else refused
    if word not in ("which", "what", "who") or not rest:
        return refused
    if rest[0].type == "COPULA":
        rest = [token for token in rest if token.type != "COPULA"]
        compared = kind_at(rest, 0) == "SUPERLATIVE" and rest[0].endswith("er") and "COMMA" in {t.type for t in rest}
        if compared:  # "which is bigger, the dog or the cat": a choice between two that are named
            return refused
        if rest and all(token.type == "THE" for token in rest):  # "what is this?"
            return refused
        if _is_bound(rest, 0):  # "who is closest to the dog?"
            front = as_kind(word, "WORD", "person") if word == "who" else as_kind(word, "PRONOUN", "thing")
            return [as_kind(word, "THE", "the"), front, *rest]
        return _of_people(word, rest) if word == "who" else rest
    verb = next((index for index, token in enumerate(rest) if token.type == "COPULA"), None)
    if verb is None or any(token.type in _SEPARATORS for token in rest[:verb]):
        return refused
    said = [token for token in rest[verb + 1 :] if token.type != "COPULA"]
    return _answered(word, rest[:verb], said, several=rest[verb] in ("are", "were")) or refused


def _of_people(word: Token, rest: list[Token]) -> list[Token]:
    """Let "who" ask for a person where no noun says whom."""
    end = end_of_items(rest, 0)
    if any(token.type in NAMING for token in rest[:end]):
        return rest
    return [*rest[:end], as_kind(word, "WORD", "person"), *rest[end:]]


def _answered(word: Token, asked: list[Token], said: list[Token], *, several: bool) -> list[Token] | None:
    """Join what a question asks about ("which car") with what it says of it ("is the largest"); None where it cannot.

    What is said may be a pick ("is the largest"), which takes one, or a property ("is red"), which all may have.
    """
    said = said[1:] if kind_at(said, 0) == "THE" and _is_bound(said, 1) else said
    bound = _is_bound(said, 0)  # "closest to the pier"
    end = 0 if bound or (said and said[0] == "neither") else end_of_items(said, 0)
    first = said[:end]
    if any(token.type == "WORD" for token in first):
        # "which one is the largest car"; "which car is the dog's" says two nouns
        return said if all(token.type in ("PRONOUN", "COUNT", "OF") for token in asked) else None
    bare = [token for token in first if token.type not in ("PRONOUN", "THE") and token != "one"]
    picks = bound or any(token.type in _PICKING for token in first)
    if bare and bare[0].type == "SUPERLATIVE" and bare[0].endswith("er") and kind_at(said, end) == "COMMA":
        return None  # "which one is bigger, the dog or the cat"
    if kind_at(asked, 0) == "OF":
        if picks and not several and not bound:
            return [as_kind(word, "THE", "the"), *bare, *asked, *said[end:]]
        asked = [token for token in asked[1:] if token.type not in ("THE", "COUNT")]
        front = as_kind(word, "COUNT", "1") if bound and not several else as_kind(word, "QUANTIFIER", "all")
        return [front, *asked, *bare, *said[end:]]
    if not said and not any(token.type in NAMING for token in asked):
        return None
    front = as_kind(word, "THE", "the") if picks else as_kind(word, "QUANTIFIER", "all" if several else "every")
    return [front, *(token for token in asked if token.type != "THE"), *bare, *said[end:]]


def _is_bound(tokens: list[Token], index: int) -> bool:
    return kind_at(tokens, index) == "CLOSEST" and tokens[index].endswith((" to", " from"))


def _related(tokens: list[Token]) -> list[Token]:
    """Read "cars which are red" and "the dog that sits on the left"; a clause of another verb is not understood."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        before = settled[-1].type if settled else ""
        relative = token.type == "ASK" or (token == "that" and before in NAMING)
        if not relative:
            settled.append(token)
            continue
        if token in ("which", "who", "where") and before == "COMMA":  # "the cars, which are red"
            settled.pop()
        if kind_at(tokens, index) == "COPULA":
            continue
        if index < len(tokens) and str(tokens[index]) in _STANCES:
            index += 1
            continue
        words = [str(token)]
        while index < len(tokens) and tokens[index].type in ("WORD", "STRANGE", "ASK", "REQUEST", "COPULA", "EXCEPT"):
            words.append(str(tokens[index]))
            index += 1
            if tokens[index - 1].type == "STRANGE":
                break
        settled.append(as_kind(token, "STRANGE", " ".join(words)))
    return settled


# -- limits and negations ----------------------------------------------------------------------------------


def limited(tokens: list[Token]) -> list[Token]:
    """Find what is chosen among what was said before: ", but only the red ones", "the cup, the left one"."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type == "ONLY":
            _only(tokens, index, settled)
        elif token.type == "COMMA" and _is_apposition(tokens, index):
            settled.append(as_kind(token, "LIMIT", "that is"))
        elif token == "but" and settled and _after_not(settled):  # "not red but blue"
            settled.append(as_kind(token, "LIMIT"))
        else:
            settled.append(token)
    return settled


def _only(tokens: list[Token], index: int, settled: list[Token]) -> None:
    """Settle one "only": a limit where it follows a phrase and begins another, else a word that changes nothing."""
    token, after = tokens[index], kind_at(tokens, index + 1)
    before = settled[-1] if settled else None
    if before is None:
        return
    if before.type == "EXCEPT" and before != "but":  # "not only"
        settled[-1] = as_kind(before, "PLAIN", f"{before} {token}")
        return
    end = end_of_items(tokens, index + 1)
    names = any(other.type == "WORD" for other in tokens[index + 1 : end])
    if after not in ITEMS:
        if before == "but":  # "but only on the left"
            settled.pop()
        elif after not in LINKS:
            _only_behind(settled)
    elif before.type in ("COMMA", "EXCEPT") or (before.type == "AND" and not names):
        settled[-1] = as_kind(token, "LIMIT")
    elif before.type in ITEMS and after in ("THE", "COUNT"):
        settled.append(as_kind(token, "LIMIT"))


def _only_behind(settled: list[Token]) -> None:
    """Read "the cars, the red ones only"."""
    start = len(settled)
    while start and settled[start - 1].type in ITEMS:
        start -= 1
    separator = settled[start - 1] if start else None
    if separator is not None and (separator.type == "COMMA" or separator == "but") and start > 1:
        settled[start - 1] = as_kind(separator, "LIMIT")


def _is_apposition(tokens: list[Token], index: int) -> bool:
    """Say whether a comma stands between a bare noun and the phrase that tells which: "the cup, the left one"."""
    end = end_of_items(tokens, index + 1)
    said = tokens[index + 1 : end]
    start = index
    while start and tokens[start - 1].type in ITEMS:
        start -= 1
    head = tokens[start:index]
    bare = any(token.type == "WORD" for token in head) and not any(token.type in DESCRIBING for token in head)
    picks = any(token.type in _PICKING for token in said) or (len(said) > 1 and said[-1] in ("one", "ones"))
    tells = picks and not any(token.type == "WORD" for token in said)
    return (
        bare
        and tells
        and said[0].type in ("THE", "ORDINAL", *DESCRIBING)
        and "AND" not in {token.type for token in tokens}
    )


def _after_not(settled: list[Token]) -> bool:
    last = next((token for token in reversed(settled) if token.type in _SEPARATORS), None)
    return last is not None and last.type == "EXCEPT" and last.split()[-1] == "not"


def negated(tokens: list[Token]) -> list[Token]:
    """Read "non-red cars", "neither red nor blue" and ", no red ones"; what is not understood is named."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token, after = tokens[index], kind_at(tokens, index + 1)
        before = settled[-1].type if settled else ""
        index += 1
        said = str(token)
        barring = said == "non" or (
            said == "not"
            and before in ("", "THE", "A", "QUANTIFIER", "COUNT")
            and kind_at(tokens, index + 1) in (*NAMING, *DESCRIBING)
        )
        if barring and after in ("COLOUR", "TRAIT"):
            settled.append(as_kind(token, "BARRED", str(tokens[index])))
            index += 1
        elif said.startswith("non") and said[3:] in COLOURS:
            settled.append(as_kind(token, "BARRED", said[3:]))
        elif said == "none of" and not settled:
            settled.append(as_kind(token, "PLAIN"))
        elif said in ("non", "un") and after in ITEMS:
            settled.append(as_kind(token, "PLAIN", f"{said} {tokens[index]}"))
            index += 1
        elif said in ("neither", "nor"):
            opens = said == "neither" and (not settled or before in ("AND", "COMMA"))
            if said == "nor" and before == "COMMA":
                settled.pop()
            settled.append(as_kind(token, "PLAIN") if opens else as_kind(token, "EXCEPT", "not"))
        elif token.type == "COUNT" and said in ("no", "zero") and before in ("AND", "COMMA") and len(settled) > 1:
            settled[-1] = as_kind(token, "EXCEPT", "not")
        elif said == "but" and after in ("PLACE", "BETWEEN"):  # "the cars but on the left": for or against?
            settled.append(as_kind(token, "UNKNOWN"))
        else:
            settled.append(token)
    return settled
