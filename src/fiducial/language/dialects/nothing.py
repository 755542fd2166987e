"""Words for nothing: replies that say in a plain sentence that what was asked for is not in the picture."""

from __future__ import annotations

import re

_LONGEST = 400
"""Longer texts are stories, whatever they say in one place."""
_BARE = re.compile(
    r"(?:none|nothing|null|nil|nan|n/?a|no|not found|not present|not visible|not applicable|empty|absent"
    r"|(?:none|nothing) (?:found|detected|visible|present|here|there|matches|of (?:them|these|those))"
    r"|(?:an )?empty (?:list|array)|无|没有|没有目标|无目标|没有找到|未找到|未检测到)"
)
_WORD = (
    r"(?!(?:is|are|was|were|has|have|had|it|they|he|she|i|we|you|this|these|there|can|could|will|would|see|found|find)\b)"
    r"[\w'’/()-]+"
)
_THING = rf"(?:{_WORD} ){{0,12}}?{_WORD}"
"""A noun with what belongs to it, and no verb: a clause that tells where something is must not pass for one."""
_BE = r"(?:is|are|was|were|'s|’s|seems? to be|appears? to be|can be|could be|has been|have been)"
_NOT = r"(?:not|n't|n’t|never|cannot|no)"
_SEEN = (
    r"(?:present|visible|seen|found|shown|depicted|detected|identified|located|there|here|included|spotted|observed"
    r"|(?:in|on|within|inside) (?:the|this|that|your|given|provided) .*)"
)
_FIND = r"(?:see|find|detect|locate|identify|spot|observe|recogni[sz]e|notice|make out)"
_ANY = r"(?:any|a|an|the|such|anything|one)"
_PICTURE = r"(?:the|this|that|your) (?:\w+ ){0,2}?(?:image|picture|photo|photograph|scene|view|frame|aerial|scan|slice)"
_PLAIN = re.compile(
    "|".join(
        (
            rf"no (?:such )?{_THING}(?: {_BE})?(?: {_SEEN}(?: .*)?)?",
            rf"none of {_THING} {_BE} {_SEEN}",
            rf"there(?: {_BE}|'s|’s) (?:no|not any|none|nothing|n't any|n’t any)(?: .*)?",
            r"there (?:isn['’]t|aren['’]t|wasn['’]t|weren['’]t) (?:any|a|an|one)(?: .*)?",
            r"there (?:is|are) not (?:any|a|an|one)(?: .*)?",
            r"there do(?:es)?(?:n['’]t| not) (?:seem|appear) to be (?:any|a|an|one)(?: .*)?",
            rf"(?:i|we) (?:can ?not|can['’]t|could not|couldn['’]t|do not|don['’]t|did not|didn['’]t"
            rf"|was not able to|were not able to|am unable to|was unable to) {_FIND} {_ANY}(?: .*)?",
            rf"(?:i|we) (?:{_FIND}|saw|found|detected|identified) (?:no|nothing|none)(?: .*)?",
            rf"{_PICTURE} (?:does not|doesn['’]t|do not) (?:seem to )?(?:contain|show|have|include|depict|display) "
            rf"(?:any|a|an|the|such|anything)(?: .*)?",
            rf"{_PICTURE} (?:contains|shows|has|includes|depicts) (?:no|none|nothing)(?: .*)?",
            rf"(?:the|this|that|a|an|any|such|it|they)(?: {_THING})? (?:{_BE} {_NOT}|isn['’]t|aren['’]t|wasn['’]t"
            rf"|weren['’]t|cannot be|can['’]t be|could not be|couldn['’]t be|does not appear to be"
            rf"|do not appear to be) {_SEEN}(?: .*)?",
            r"nothing (?:in|on|matching|matches|like|of|here|there|was|is)(?: .*)?",
            r"(?:this|it) (?:isn['’]t|is not) in the image",
            r"(?:the )?(?:final )?(?:answer|result|output) (?:is|:) (?:none|nothing|empty|no|an empty list|null)",
            r"(?:图|图片|图像|画面)(?:片|像)?(?:中|里|内)?(?:没有|不存在|不包含|未发现|未检测到)[^，,]{1,40}",
        )
    )
)
_DOUBTFUL = re.compile(
    # what takes a part of it back, speaks of something else than the target, or of a picture that was not shown
    r"\b(?:but|however|although|though|except|only|other|others|otherwise|besides|apart|instead|rather|unless|yet"
    r"|doubt|question|problem|worries|way|need|reason|idea|clue|comment|matter|further|additional|longer|else|more"
    r"|fewer|less|than|unclear|unsure|uncertain|determine|clearly|exactly|sure|whether|if|second|third|least|alternative|wrong|unusual"
    r"|attached|attachment|uploaded|provide|access|able to (?:view|access|process|display)|coordinates?|sorry to)\b"
    r"|\b(?:no|any|an|your) (?:image|picture|photo|photograph|file|answer|help|information|context|explanation)s?\b"
    r"|(?:see|view|find|open|access|load|read) (?:the|this) (?:image|picture|photo|photograph|file)s?$"
    r"|[?;:\[\]{}<>]"
)
_OPENING = re.compile(
    r"(?:(?:sorry|unfortunately|no|okay|ok|well|hmm|apologies|i apologi[sz]e|i['’]m sorry|i am sorry|answer|result"
    r"|final answer|output)(?:, but|,|:|\.|;|—| -)\s*|(?:so|thus|therefore|hence),?\s+)+"
)
_SETTING = re.compile(rf"(?:{_PICTURE}|it|this) (?:only )?(?:shows|depicts|is of|contains|is an?|displays)(?: .*)?")
_ONLY = re.compile(r" only(?= )")
_SENTENCES = re.compile(r"(?<=[.!。！])\s+|\n+")
_BY_THE_WAY = re.compile(r"\b(?:in|of) (?:the|this|that|your) (?:given |provided |attached |uploaded )")


def says_nothing(text: str) -> bool:
    """Say whether a text, without any coordinates, says plainly that nothing in the picture is meant.

    Every sentence has to say so, or to tell what the picture shows instead. Whoever is in doubt, takes a part of it
    back, or saw no picture does not say it.

    Example:
        >>> says_nothing("There is no ship."), says_nothing("None"), says_nothing("There is no doubt: the left one.")
        (True, True, False)
    """
    if len(text) > _LONGEST:
        return False
    said = 0
    for sentence in _SENTENCES.split(text.lower()):
        plain = _OPENING.sub("", sentence.strip(" \t\"'“”‘’`*_."), count=1).strip(" \t\"'“”‘’`*_.!。！,;")
        plain = re.sub('["“”]', "", plain)
        plain = _BY_THE_WAY.sub("in the ", plain)
        if not plain:
            # an opening alone: "No." is an answer, "Sorry." is none
            said += sentence.strip(" .!") == "no"
        elif _BARE.fullmatch(plain) or (_PLAIN.fullmatch(plain) and not _DOUBTFUL.search(plain)):
            said += 1
        elif not (_SETTING.fullmatch(plain) and not _DOUBTFUL.search(_ONLY.sub("", plain, count=1))):
            return False
    return said > 0
