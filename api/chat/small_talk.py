"""Greetings, thanks and other things that want no answer from the docs: a friendly line, with nothing looked up."""

from __future__ import annotations

import re
from typing import Final

GREETING: Final = "Hello! Ask me anything about these docs, and I will answer with links to the sections I used."
THANKS: Final = "You are welcome! Ask away if there is anything else you would like to know about these docs."
FAREWELL: Final = "Goodbye! Come back whenever you have a question about these docs."
ABOUT: Final = (
    "I am the assistant of these docs. I answer from their pages alone, and link each claim to the section it comes "
    "from. Ask me anything that they might cover."
)
ACKNOWLEDGED: Final = "Good! What else would you like to know about these docs?"
NOTED: Final = "All right. What would you like to know about these docs?"

_NOT_WORDS: Final = re.compile(r"[\W_]+")
#: What is said in place of each of these, once marks and blanks between words are single blanks.
_REPLIES: Final = {
    GREETING: r"""
        (?: hi+ | hello+ | hey+ | hiya | howdy | yo+ | sup | greetings | good\ (?:morning|afternoon|evening|day)
          | (?:as)?salam (?:u?\ ?(?:o\ )?al[ai]+kum)? | hola | hallo | bonjour | salut | ciao | ol\u00e1 | namaste
          | hej | guten\ (?:morgen|tag|abend) | buenos\ d\u00edas | buongiorno | merhaba
          | \u043f\u0440\u0438\u0432\u0435\u0442
          | \u3053\u3093\u306b\u3061\u306f | \u4f60\u597d
          | \uc548\ub155(?:\ud558\uc138\uc694)? )
        (?: \ (?:there|all|everyone|everybody|team|bot|assistant|again|friend) )*
        (?:\ how\ are\ (?:you|u)(?:\ today)?)?
        | how\ are\ (?:you|u)(?:\ doing)?(?:\ today)? | what\ s\ up""",
    THANKS: r"""
        (?: (?:ok|okay|great|perfect|cool|nice)\ )? (?:many\ )?
        (?: thanks? | thank\ you | thx | ty | cheers | merci | danke | gracias | obrigad[oa] | grazie )
        (?: \ (?:a\ lot|a\ bunch|so\ much|very\ much|again|everyone) | \ for\ (?:the|your)\ (?:help|answer) )*""",
    FAREWELL: r"(?:good\ ?)?bye+(?:\ bye)? | see\ (?:you|ya)(?:\ later)? | good\ night | cya | farewell | tsch\u00fcss",
    ABOUT: r"""
        (?:who|what)\ are\ you | what\ (?:can|do)\ you\ do | are\ you\ (?:an?\ )?(?:bot|robot|human|ai|real)
        | what\ is\ this\ (?:bot|chat) | what\ s\ your\ name | help(?:\ me)?(?:\ please)? 
        | what\ can\ i\ ask(?:\ you)?""",
    ACKNOWLEDGED: r"""
        ok(?:ay)? | k+ | cool | great | nice | perfect | awesome | good | got\ it | i\ see | understood | makes\ sense
        | lol | haha+ | never\ ?mind""",
    NOTED: "yes | no | yep | nope | sure",
}
_SAID: Final = {reply: re.compile(pattern, re.IGNORECASE | re.VERBOSE) for reply, pattern in _REPLIES.items()}


def reply_to_small_talk(text: str, *, amid: bool = False) -> str | None:
    """What to say to small talk; None for anything that wants an answer from the docs.

    amid: something was said or marked before, which a bare "yes" or "help me" is about; only courtesies are answered.
    """
    said = " ".join(_NOT_WORDS.sub(" ", text).split())
    if not said or (len(text.strip()) == 1 and text.isascii()):
        return GREETING
    reply = next((reply for reply, pattern in _SAID.items() if pattern.fullmatch(said)), None)
    return None if amid and reply in (NOTED, ABOUT) else reply
