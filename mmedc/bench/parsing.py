"""Finds the letters that an answer in words chooses, in English, Chinese, Japanese, French, Russian and Spanish.

The module needs nothing but Python, because the tasks for lm-evaluation-harness contain a copy of it. An answer that
does not state a choice plainly, or states two, gives None; it is counted as such, and the choice is never guessed.

The signs of a choice are tried from sure to less sure, and the first one found counts: what is marked as final (a box,
a tag, the form of MMedBench); "the answer is …"; a first or last line of letters alone; "… is correct"; the text of
an option.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping

Letters = tuple[str, ...]

_CYRILLIC = {"А": "A", "Б": "B", "С": "C", "Е": "E", "а": "a", "б": "b", "с": "c", "е": "e"}
"""Letters that look alike, and the second letter. В is the third letter but looks like B: it is B only without a C."""
_OPEN, _CLOSE = r"(?:[\(\[【「『〔<{\"'“‘«]\s*)*", r"(?:\s*[\)\]】」』〕>}\"'”’»])*"
_AND = r"(?:and|et|y|e|и|und|和|及|与|跟|同|以及|と|および|及び|並びに|ならびに)"
_OR = r"(?:or|ou|o|u|или|либо|或|或者|または|もしくは|あるいは|か)"
_LEAD = (
    r"(?:(?:(?:the|options?|choices?|letters?|answers?|statements?|numbers?"
    r"|la|le|les|las|los|réponses?|propositions?|lettres?|choix|items?"
    r"|opci(?:ón|on|ones)|letras?|alternativas?|respuestas?|incisos?|números?|literal|literales"
    r"|варианты?|вариантом|вариантах?|буква|буквы|буквой|под|номером|ответы?|пункты?|это)\b"
    r"|选项|選項|选择肢|选择|选|为|第|選択肢|記号|肢)\s*[:：]?\s*)*"
)
_IS = (
    r"(?:is|are|was|would (?:therefore |thus |then )?be|should be|must be|will be|being|est|sont|serait|seraient|es|son|sería|serían|"
    r"это|является|являются|будет|—|–|-|:|：|=|为|為|是|应为|应是|应该是|应该为|应选|应该选|选|選|選ぶ|は|が|が最も適切なのは|→|⇒)"
)
_NOUN = (
    r"(?:(?:correct|right|best|most appropriate|most likely|final|my|proper|true|only correct)\s+)*"
    r"(?:answers?|options?|choices?|response|diagnosis|statements?|pick)(?:\s+(?:choice|option|letter|here|to this question"
    r"|to the question|in this case|for this (?:case|patient|question)))?"
    r"|(?:bonnes?\s+|justes?\s+|seules?\s+|ma\s+)*(?:réponses?|propositions?|choix|options?)"
    r"(?:\s+(?:correctes?|exactes?|justes?|vraies?|corrects?|attendues?|finales?|retenues?|à retenir|à cocher))*"
    r"|верно утверждение|правильно утверждение|(?:единственн\w+\s+)?(?:правильн\w+\s+|верн\w+\s+|окончательн\w+\s+|итогов\w+\s+|мой\s+|наиболее подходящ\w+\s+)*"
    r"(?:ответ\w*|вариант\w*)(?:\s+(?:на вопрос|ответа|здесь))*"
    r"|(?:respuestas?|opci(?:ón|ones)|alternativas?|solución)"
    r"(?:\s+(?:correctas?|verdaderas?|acertadas?|final|adecuadas?|más adecuada|más probable))*"
    r"|(?:本题|此题|所以|因此|最终|最佳|正确|参考|标准|最后|的)*(?:答案|選項|选项)(?:应该|应当|应)?"
    r"|(?:最も)?(?:正しい|適切な)(?:の|もの)|(?:したがって|よって|最終的な)?(?:正しい|適切な)?(?:答え|正解|正答|解答|回答|答|選択肢)(?:の選択肢|の記号)?"
)
_FOLLOWS = r"(?:\s+(?:(?:la|les) suivantes?|(?:la|las) siguientes?|as follows|the following))?"
_LABEL = r"(?:correct(?:as?|es?|os?)?|right|vraie?s?|vrai|exacte?s?|ciertas?|верно|правильно|正确|正確)\s*[:：]"
_PHRASE = re.compile(
    rf"(?<![A-Za-zÀ-ÿА-яЁё])(?:(?:{_NOUN})\s*(?:\([^()]*\)\s*)?{_IS}{_FOLLOWS}\s*[:：]?|{_LABEL})\s*",
    re.IGNORECASE,
)
_SO = re.compile(
    r"(?:\b(?:therefore|thus|hence|so|then|donc|por (?:lo )?tanto|así que|entonces|sin duda|creo que es|поэтому|значит|следовательно"
    r"|answers?|réponses?|respuestas?|ответ|утверждение)\b|答案|正解|答え|正答|解答|[】\]]"
    r"|所以|因此|故|よって|したがって|ゆえに|[=-]>|→|⇒)\s*[,、:：]?\s*"
    r"(?=[\(\[「]?[A-J](?:[\s,、]*(?:and|et|y|и|和|と)?[\s,、]*[A-J])*[\)\]」]?\s*(?:[.。!！【\[]|です|$|\n))",
    re.IGNORECASE,
)
"""A conclusion that only letters follow."""
_CHOOSE = re.compile(
    r"(?:\b(?:it(?:'s| is)|c'est|es la|i(?:'d| would| will|'ll)?\s+(?:choose|pick|select|go with|say|answer|opt for)"
    r"|je\s+(?:choisis|retiens|coche|réponds)|je\s+choisirais|cochez|on retient|il fallait (?:cocher|choisir)|il faut (?:cocher|choisir)"
    r"|elijo|escojo|selecciono|eligiría|marco|me quedo con|yo diría|se debe (?:elegir|marcar)|hay que marcar"
    r"|ответ|(?:я )?думаю,? что(?: это)?|выбираю|выбрать|выбираем|следует выбрать|я бы выбрал\w*)\b"
    r"|故选|应选择|应选|因此选|所以选|我选择|我选|答选|选择|选项为|选|而是|選択する|ではなく(?:、)?)\s*[:：]?\s*",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"(?:\bnot\s+(?:option\s+)?[A-J],?\s+but\s+(?:rather\s+)?|\bno\s+es\s+(?:la\s+)?[A-J],?\s+sino\s+(?:que\s+)?(?:es\s+)?"
    r"|\bpas\s+(?:la\s+)?[A-J],?\s+mais\s+(?:bien\s+)?|\bне\s+[A-J],?\s+а\s+)",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\\boxed\s*\{(?P<box>[^{}]*)\}"
    r"|<answer>(?P<tag>.*?)</answer>"
    r"|[\"'](?:answer|answer_idx|réponse|respuesta|ответ|答案|答え|回答)[\"']\s*:\s*(?P<json>\[[^\]]*\]|\"[^\"]*\"|'[^']*')"
    r"|#+\s*answer\s*:?\s*options?\s+(?P<paper>.*?)\s+(?:is|are)\s+correct"
    r"|(?:\bfinal answer|\bréponse finale|\brespuesta final|\bокончательный ответ|\bитоговый ответ|最终答案|最終解答|最終回答"
    r"|最終的な答え)\s*(?:is|est|es|это|是|为|は)?\s*[:：—–-]?\s*(?P<line>(?:(?!\\boxed)[^\n])*)",
    re.IGNORECASE | re.DOTALL,
)
_BOX = re.compile(r"\\f?(?:rame)?box(?:ed)?(?![a-z])")
_BOXES = re.compile(rf"\}}([\s$]*(?:[,、;/&+]|[,、]?\s*(?:{_AND}|{_OR}))[\s$]*)\\boxed\{{", re.IGNORECASE)
"""What joins two boxes: a list of letters, or a choice between them, which chooses neither."""
_FONT = re.compile(
    r"\\(?:text\w*|math(?:rm|bf|sf|it|tt|cal|bb|frak|normal)|operatorname|boldsymbol|bm|pmb|emph|underline|mbox|hbox)\s*\*?\s*"
    r"(?=\{)|\\(?:rm|bf|it|sf|tt|sc|em|left|right|[bB]igg?[lr]?|limits|(?:display|text)style|normalsize|large|Large)(?![a-zA-Z])"
)
_SPACE = re.compile(r"\\(?:[,;:!> ~]|q?quad(?![a-z])|[hv]space\s*\*?\s*\{[^{}]*\})|(?<!\w)~|~(?!\w)|\\[()\[\]]")
_BEGINS = re.compile(r"^\s*[(\[【]?[A-J]\s*[.):：\]】]", re.MULTILINE)
"""A line that begins with an option's letter."""
_WRITTEN_OUT = re.compile(r"^[(\[][A-J][)\]]\s+[A-ZÀ-ÞА-ЯЁ]|^[A-J]\)\s+[A-ZÀ-ÞА-ЯЁ]")
_DOUBT = re.compile(
    r"(?<![A-Za-zÀ-ÿ])(?-i:[A-J])(?![A-Za-zÀ-ÿ0-9])|\b(?:not|never|n't|cannot|wrong|incorrect|false|would|could|might|may|or|but|however|although|unless"
    r"|ne|pas|faux|fausse|incorrecte?|serait|pourrait|ou|mais|cependant|no|nunca|fals[oa]|incorrect[oa]|sería|podría|pero|sin embargo"
    r"|не|неверн\w*|неправильн\w*|бы|или|но|однако)\b|不|错|錯|误|但|或|誤|ない|なく|かも",
    re.IGNORECASE,
)
"""What follows a letter and its option in an answer that may not choose it."""
_RIGHT = re.compile(
    r"^\s*(?:[:：]\s*(?:right|correct|true|vraie?|exacte?|correct[ao]|verdader[ao]|верно|правильно|正确|正しい|○)"
    r"|(?:is|are)\s+the\s+answers?\b|(?:est|sont)\s+(?:la|les)\s+réponses?\b|(?:es|son)\s+(?:la|las)\s+respuestas?\b"
    r"|(?:—|–|-)?\s*(?:это\s+)?ответ\b|是答案|が答え|(?:である|です)(?!が|か)"
    r"|(?:is|are)\s+(?:the\s+)?(?:(?:most\s+)?(?:likely\s+)?(?:correct|right|best|true|appropriate|accurate))\b(?!\s+(?:that|to say))"
    r"|(?:est|sont)\s+(?:la\s+|les\s+|donc\s+)?(?:bonnes?|correcte?s?|exacte?s?|vraie?s?|justes?)\b"
    r"|(?:es|son)\s+(?:la\s+|las\s+|el\s+)?(?:opci(?:ón|ones)\s+|respuestas?\s+)?(?:correct[ao]s?|verdader[ao]s?|ciert[ao]s?|acertad[ao]s?|adecuad[ao]s?|indicad[ao]s?)\b"
    r"|(?:—|–|-|является|являются|это)?\s*(?:правильн\w+|верн\w+|верен|верна|верны|правилен)\b"
    r"|(?:选项|项|選項)?\s*(?:是|为)?\s*(?:正确|最佳|对的|正確|最合适)(?!与否|吗)"
    r"|(?:の選択肢)?\s*(?:が|は)\s*(?:最も)?(?:正しい|正解|適切|正答)(?!で(?:は|も)?な|とは|では|じゃ)"
    r"|を(?:選ぶ|選択))",
    re.IGNORECASE,
)
_WRONG_AFTER = re.compile(
    r"^\s*(?:ではな|じゃな|でな|とは限|не\s|(?:is|are)\s+(?:both |all |clearly |also )*(?:not|wrong|incorrect|false)|isn't|aren't|n'est|ne\s"
    r"|no\s+(?:es|son)|(?:es|son)\s+(?:fals|incorrect)|(?:est|sont)\s+(?:fauss|faux|inexact|incorrect)|错|錯|不|は誤|が誤|невер|неправильн"
    r"|[:：—–-]?\s*(?:wrong|incorrect|false|faux|fausse|falso|falsa|incorrect[ao]|неверно|неправильно|错误?|誤り|×))",
    re.IGNORECASE,
)
_NOT_BEFORE = re.compile(
    r"(?:\bnot|\bn't|\bnever|\bneither|\bnor|\bni|\bpas|\bno|\bне|不|非|不是|并非|if|si|если|如果|もし)\s*(?:the|la|le|el)?\s*$",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"actually|wait|correction|sorry|therefore|thus|hence|so,? |in conclusion|in summary|finally|overall|on reflection"
    r"|donc|finalement|en conclusion|en réalité|correction|pardon|por (?:lo )?tanto|así que|en conclusión|finalmente|perdón"
    r"|следовательно|таким образом|итак|поэтому|нет,|точнее|однако|因此|所以|综上|故|更正|不对|したがって|よって|以上|訂正|いや",
    re.IGNORECASE,
)
_NEXT = re.compile(
    r"\n\s*(?:#+\s*)?(?:Question|Q|问题|题目|問題|Вопрос|Pregunta|Input|Instruction|User|Human)\s*\d*\s*[:：]"
    r"|\nBelow is an instruction"
)
_BECAUSE = re.compile(
    r"\s+(?:because|since|as|for|given|due|which|car|parce|puisque|qui|porque|ya que|pues|dado|debido|потому|так как|поскольку)\b|\s*(?:因为|なぜなら)",
    re.IGNORECASE,
)


def parse(text: str, options: Mapping[str, str], multiple: bool = False) -> Letters | None:
    """Return the letters that `text` chooses among `options` (letter → text), sorted, or None where it chooses none.

    `multiple`: several letters may be right, so that a run of letters ("ACE") names several.
    """
    answer = _clean(text, options)
    if answer is None or not answer.strip():
        return None
    for find in (_final, _stated, _alone, _called_right, _by_text):
        found, sure = find(answer, options, multiple)
        if sure:
            return found
    return None


Found = tuple[Letters | None, bool]
"""Letters, and whether the search ends here: a contradiction is (None, True)."""
_NOTHING: Found = (None, False)


def _clean(text: str, options: Mapping[str, str]) -> str | None:
    """Return `text` in plain characters, with quoted options shrunk to letters, or None where the two disagree."""
    text = _without_latex(unicodedata.normalize("NFKC", text))
    text = re.sub(r"<think>.*?(?:</think>|\Z)", " ", text, flags=re.DOTALL)
    if (more := _NEXT.search(text)) and text[: more.start()].strip():
        text = text[: more.start()]
    text = re.sub(r"</?(?:b|i|strong|em|p|br|s|u)\s*/?>|\*+|`+|(?<!\w)__|__(?!\w)|\$", "", text)
    text = (
        re.sub(r"(?<!\w)(?:В|в)(?!\w)", lambda match: "B" if match[0] == "В" else "b", text)
        if "C" not in options
        else text
    )
    text = re.sub(
        r"(?<![^\W\d_])[АБСЕабсе](?=\s*[,.;:)\]]|\s*$)", lambda match: _CYRILLIC[match[0]], text, flags=re.MULTILINE
    )
    text = re.sub(r"(?<![^\W\d_])[АБСЕ](?![^\W\d_])", lambda match: _CYRILLIC[match[0]], text)
    plain = {letter: " ".join(unicodedata.normalize("NFKC", wording).split()) for letter, wording in options.items()}
    flat = " ".join(text.split()).casefold()
    # Only options that occur are turned into expressions, because compiling them takes longest.
    quoted = {letter: re.escape(wording).replace(r"\ ", r"\s+") for letter, wording in plain.items()
              if wording and wording.casefold() in flat}  # fmt: skip
    if len(quoted) > 1 and len(quoted) == sum(map(bool, plain.values())):
        form = r"(?m)^\s*{}{}{}\s*[.):：]?\s*{}"
        listed = [re.search(form.format(_OPEN, letter, _CLOSE, wording), text) for letter, wording in quoted.items()]
        if all(listed):  # the options are repeated before anything is chosen
            text = text[max(match.end() for match in listed if match) :]
    letters = "".join(options)
    for letter, wording in sorted(quoted.items(), key=lambda option: -len(option[1])):
        # "B. Pancreas", "B (Pancreas)", "b) Pancreas" become "B"; "B. Liver", where the liver is A, is no answer.
        small = letters.lower()
        begin = rf"(?<![A-Za-zÀ-ÿА-яЁё0-9_])(?:([{letters}])\s*(?:[.):：,、=-]\s*)?|([{small}])\s*[.):]\s*)"
        exact = re.compile(rf"{begin}[(\"'“«「]?\s*(?i:{wording})\s*[)\"'”»」]?(?!\w)")
        for match in exact.finditer(text):
            named = (match[1] or match[2]).upper()
            if named != letter and plain.get(named) != plain[letter] and not re.match(r"\w\s*[,、]", match[0]):
                return None
        text = exact.sub(functools.partial(_shrunk, letter), text)
    return text


def _without_latex(text: str) -> str:
    r"""Return `text` without fonts, spaces and braces of LaTeX; of its boxes `\boxed{…}` is left, without braces inside.

    `\fbox{\rm (E)}` becomes `\boxed{(E)}`. A box that is not closed ends with its line.
    """
    if "\\" not in text and "{" not in text:
        return text
    text = _SPACE.sub(" ", _FONT.sub("", text))
    out, at = [], 0
    while box := _BOX.search(text, at):
        out.append(_without_braces(text[at : box.start()]))
        begin = re.compile(r"\s*").match(text, box.end()).end()  # type: ignore[union-attr]
        end = _closing(text, begin) if text[begin : begin + 1] == "{" else begin + 1
        out.append(rf"\boxed{{{re.sub('[{}]', ' ', text[begin:end]).strip()}}}")
        at = end
    return _BOXES.sub(r"\1", "".join(out) + _without_braces(text[at:]))


def _closing(text: str, begin: int) -> int:
    """Return the place after the brace that closes the one at `begin`, or else the end of its line."""
    depth = 0
    for at in range(begin, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return at + 1
        if text[at] == "\n":
            return at
    return len(text)


def _without_braces(text: str) -> str:
    """Return `text` in which braces around a group without a colon, which is no JSON, are gone."""
    return re.sub(r"\{([^{}:\n]*)\}", r"\1", text)


def _shrunk(letter: str, match: re.Match[str]) -> str:
    """Return what replaces a letter and the text of an option in an answer."""
    if (match[1] or match[2]).upper() != letter:
        return match[0]
    # "B. Pancreas produces it" becomes "B: produces it", unless the words after the option judge it.
    rest = match.string[match.end() :]
    before = re.sub(_LEAD, "", match.string[: match.start()], count=1, flags=re.IGNORECASE)
    alone = len(_BEGINS.findall(match.string)) <= 1 and not before.strip(" ([")
    longer = (
        alone and re.match(r"\s*,?\s+\w", rest) and not _RIGHT.match(rest) and not _DOUBT.search(rest.split("\n")[0])
    )
    return f"{letter}: " if longer else letter


def _list(text: str, options: Mapping[str, str], multiple: bool, whole: bool = False) -> tuple[Letters, str] | None:
    """Return the letters that `text` begins with, and the rest. With `whole`, the rest may only be punctuation."""
    lead = re.match(_LEAD, text, re.IGNORECASE)
    rest = text[lead.end() :] if lead else text
    form = rf"{_OPEN}(?:{_LEAD})([A-Ja-j])(?![A-Za-zÀ-ÿА-яЁё0-9])(?!['’][a-zà-ÿ]){_CLOSE}"
    found: list[str] = []
    at = 0
    if multiple and (run := re.match(r"[(\[【「]?([A-J]{2,10})(?![A-Za-z0-9А-я])", rest)):
        letters = list(run[1])
        if letters == sorted(set(letters)) and set(letters) <= set(options):
            found, at = letters, run.end()
    while not found or at:
        separator = ""
        if found:
            between = re.match(
                rf"-(?=[A-J](?![A-Za-z]))|\s*(?:[,、;/&+·・]\s*(?:{_AND}\s+|{_AND}(?=\s*[A-J]))?|\s{_AND}\s+|{_AND}(?=\s*[A-J]))\s*",
                rest[at:],
            )
            if other := re.match(rf"\s*[,、]?\s*{_OR}\s*{_OPEN}[A-J](?![A-Za-z])", rest[at:]):
                return (), rest[at + other.end() :]
            if not between:
                break
            separator = between[0]
        step = re.match(form, rest[at + len(separator) :], re.IGNORECASE)
        if not step or step[1].upper() not in options:
            break
        letter, after = step[1], rest[at + len(separator) + step.end() :]
        if (
            letter.islower()
            and not re.match(r"\s*(?:[.,;:)\]】」』。、]|$|\n|です|だ|である)", after)
            and not re.match(rf"\s+{_AND}\s+[a-j]\b", after)
        ):
            break
        found.append(letter.upper())
        at += len(separator) + step.end()
    if not found:
        return None
    rest = rest[at:]
    if whole and not re.match(r"\s*[.。!！,，;:：)）」]*\s*$", rest):
        return None
    return tuple(sorted(set(found))), rest


def _plausible(letters: Letters, rest: str) -> bool:
    """Return whether a single letter before `rest` is a choice, and not an article, a genus or a name."""
    if letters == ("A",) and re.match(r"\s+[a-z]", rest) and not _BECAUSE.match(rest) and not re.match(
        r"\s+(?:is|are|and|was|est|es|y|et)\b", rest
    ):  # fmt: skip
        return False
    return not re.match(r"\.\s+[a-z]{3,}\b", rest) or bool(_BECAUSE.match(rest[1:]))


def _agree(found: list[tuple[Letters, bool]]) -> Found:
    """Return what statements agree on, or the last one if it corrects or concludes; they contradict otherwise."""
    if not found:
        return _NOTHING
    if len({letters for letters, _ in found}) == 1 or found[-1][1]:
        return (found[-1][0] or None), True
    return None, True


def _final(text: str, options: Mapping[str, str], multiple: bool) -> Found:
    found: list[Letters | None] = []
    for match in _FINAL.finditer(text):
        marked = next((part for part in match.groups() if part is not None), "")
        marked = re.sub(r"\\boxed|[{}]", "", marked)
        listed = _list(marked.strip(" []\"'").replace('"', "").replace("'", ""), options, multiple)
        if listed and _plausible(*listed):
            found.append(listed[0] or None)
        elif (by_text := _same_text(marked, options)) is not None:
            found.append(by_text)
        elif match.group("line") is None and (stated := _stated(marked, options, multiple))[1]:
            found.append(stated[0])
        elif match.group("line") is None:
            found.append(None)
    return (found[-1], True) if found else _NOTHING


def _stated(text: str, options: Mapping[str, str], multiple: bool) -> Found:
    found: list[tuple[Letters, bool]] = []
    end = 0
    ends = sorted(
        {(match.end(), match.start()) for form in (_PHRASE, _CHOOSE, _BUT, _SO) for match in form.finditer(text)}
    )
    for at, start in ends:
        before, after = text[max(0, start - 40) : start], text[at:]
        if at < end or _NOT_BEFORE.search(before):
            continue
        listed = _list(after, options, multiple)
        if listed:
            letters, rest = listed
            if not _plausible(letters, rest) or _WRONG_AFTER.match(rest):
                continue
            end = len(text) - len(rest)
        else:
            clause = re.split(r"[\n。!！]|\.(?=\s|$)", after, maxsplit=1)[0]
            by_text = _same_text(clause, options) or _same_text(re.split(r"[,;(—]", clause, maxsplit=1)[0], options)
            if by_text is None:
                continue
            letters = by_text
        found.append((letters, bool(_CUE.search(before) or _BUT.search(text[start:at]) or "而是" in text[start:at])))
    return _agree(found)


def _alone(text: str, options: Mapping[str, str], multiple: bool) -> Found:
    lines = [line.strip() for line in text.strip().split("\n") if line.strip()]
    if not lines:
        return _NOTHING
    found: list[Letters] = []
    lines[0] = re.sub(r"^(?:[-–—•>=→⇒]+)\s*", "", lines[0])
    listed = _list(lines[0], options, multiple)
    if listed:
        letters, rest = listed
        if _WRONG_AFTER.match(rest) or (re.match(r"\s*[:：]", rest) and _RIGHT.match(rest)):
            return _NOTHING
        if re.fullmatch(r"\s*[.。!！,;:)）]*", rest) or (
            len(_BEGINS.findall(text)) == 1 and _WRITTEN_OUT.match(lines[0]) and not _DOUBT.search(rest)
        ):
            found.append(letters)
        elif re.match(r"\s*[.):：—–\-,。、]\s*\S|\s+[—–-]\s|です|だ[。\s]|だと|である|吧", rest) or _BECAUSE.match(
            rest
        ):
            if not _plausible(letters, rest):
                return _NOTHING
            if re.match(r"\s*,\s*[^\W\d_]", rest) and not _BECAUSE.match(rest[1:]):
                return _NOTHING
            found.append(letters)
    if len(lines) > 1 and (last := _list(lines[-1], options, multiple, whole=True)):
        found.append(last[0])
    if len(lines) > 1 and multiple and all(_list(line, options, multiple, whole=True) for line in lines):
        found = [tuple(sorted({letter for line in lines for letter in _list(line, options, multiple)[0]}))]  # type: ignore[index]
    return _agree([(letters, False) for letters in found])


def _called_right(text: str, options: Mapping[str, str], multiple: bool) -> Found:
    found: list[Letters] = []
    at = 0
    for match in re.finditer(r"(?<![A-Za-zÀ-ÿА-яЁё0-9'’])[(\[「]?[A-J](?![A-Za-zÀ-ÿА-яЁё0-9])", text):
        if match.start() < at or not (listed := _list(text[match.start() :], options, multiple)):
            continue
        letters, rest = listed
        before = text[max(0, match.start() - 24) : match.start()]
        if letters and _RIGHT.match(rest) and not _NOT_BEFORE.search(re.sub(rf"{_LEAD}$", "", before)):
            found.append(letters)
        at = len(text) - len(rest)
    if not found:
        return _NOTHING
    union = tuple(sorted({letter for letters in found for letter in letters}))
    return (union, True) if multiple or len(set(found)) == 1 else (None, True)


def _by_text(text: str, options: Mapping[str, str], multiple: bool) -> Found:
    if (found := _same_text(text, options)) is not None:
        return found, True
    parts = [part for part in re.split(r"[\n;；]|\s*[,、]\s*(?=\S)", text) if part.strip()]
    each = [_same_text(re.sub(r"^\s*[-•*\d.]+\s*", "", part), options) for part in parts]
    if multiple and len(each) > 1 and all(each):
        return tuple(sorted({letter for letters in each if letters for letter in letters})), True
    opening = re.split(r"[,.。;；:：!！\n—–]", text.strip(), maxsplit=1)[0]
    found = _same_text(opening, options)
    return (found, True) if found is not None else _NOTHING


def _same_text(phrase: str, options: Mapping[str, str]) -> Letters | None:
    """Return the only option whose text is `phrase`, apart from case, punctuation and articles."""
    bare = _bare(phrase)
    found = [letter for letter, text in options.items() if _bare(text) == bare]
    return (found[0],) if len(found) == 1 and bare else None


def _bare(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    words = re.findall(r"\w+", text)
    articles = ("the", "a", "an", "le", "la", "les", "l", "un", "une", "el", "los", "las", "una")
    while len(words) > 1 and words[0] in articles:
        words = words[1:]
    return " ".join(words).removesuffix("です").strip()
