"""Words that say how something is asked, and words that turn a statement into its contrary."""

from __future__ import annotations

import re
from typing import Final

from api.chat.overlap import ASKING

#: Words of a question that no passage has to hold: how it is asked, and what kind of thing is asked for.
ASIDE: Final = frozenset(
    f"{ASKING} also another call called far kind long many may might much must name named names type types "
    "whose".split()
)

#: What takes the meaning of a statement back.
NEGATION: Final = re.compile(
    r"\b(?:not|never|no|cannot|without|none|neither|nor|except|excluding|unlike|fail\w*|lack\w*|least|refus\w*)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
#: Negations that ask politely, ask for a cause or answer what was said before: they take nothing back.
TURN_OF_PHRASE: Final = re.compile(
    r"\W*(?:(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have)n['\u2019]t\b|can['\u2019]?t\b|no\b|not\b"
    r"|why\b)|.*\bif\b",
    re.IGNORECASE | re.DOTALL,
)

#: A word before the colon means the contrary of those after it.
_PAIRS: Final = (
    "more:less fewer; most:least fewest; high:low; higher:lower; highest:lowest; rise:fall drop; first:last second; "
    "increase:decrease reduce decline drop fall; increased:decreased reduced declined; before:after; early:late; "
    "precede:succeed follow; earlier:later; old:new; older:newer; oldest:newest; large:small; larger:smaller; "
    "largest:smallest; big:small; long:short; longer:shorter; win:lose; won:lost; begin:end; began:ended; start:end; "
    "started:ended stopped; east:west; north:south; eastern:western; northern:southern; internal:external; "
    "inside:outside; above:below; over:under; strong:weak; maximum:minimum; max:min; enable:disable; able:unable; "
    "allow:forbid prevent prohibit; accept:reject refuse; agree:refuse disagree; possible:impossible; legal:illegal; "
    "public:private; male:female; men:women; king:queen; son:daughter; father:mother; import:export; buy:sell; "
    "victory:defeat; join:leave; enter:leave; ancient:modern medieval; rich:poor; true:false; positive:negative; "
    "open:close; add:remove; create:delete; even:odd; hot:cold; upper:lower; majority:minority; attack:defend; "
    "succeed:fail; success:failure; major:minor; active:inactive; left:right; read:write; client:server; sync:async; "
    "synchronous:asynchronous; encrypt:decrypt; upgrade:downgrade; install:uninstall; lock:unlock"
)
OPPOSITES: Final = tuple(
    (word.strip(), contrary) for pair in _PAIRS.split(";") for word, _, rest in [pair.partition(":")]
    for contrary in rest.split()
)  # fmt: skip
