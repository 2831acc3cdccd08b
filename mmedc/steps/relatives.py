"""Languages that are easily taken for each other: which of them a text is in, by its little words and characters.

lid.176 is sure of most texts. It errs on short ones in a few families: Portuguese, Spanish, Galician and Catalan;
Hindi, Marathi and Nepali. And it has no class, or none that can be relied on, for written Cantonese and classical
Chinese. These differ in words and characters that stand in nearly every sentence.
"""

import re
from collections.abc import Iterable

WORDS = {
    "pt": "não são uma um em na nas no nos do da dos das com mas muito também já ela ele você foi ao aos à às "
    "pelo pela pelos pelas mais os as e o a seu sua seus suas isso este esta num numa até quando entre "
    "depois sem mesmo há ser ter tem têm foram era está estão pode podem deve eles elas quem onde ainda "
    "anos dia bem só apenas segundo disse após sobre ou que de se por para como é nao sao voce tambem ja "
    "ate ha",
    "es": "el los las y en una un con del al por pero muy también es fue son como su sus lo se le les más "
    "hasta cuando entre después sin mismo hay ser tener tiene fueron era está están puede pueden debe "
    "ellos ellas quien donde aún años día bien sólo solo según dijo tras sobre este esta ese o ni ya sí "
    "nos ha han sido desde cada la a que de para e u tambien segun despues",
    "gl": "o os a as e en na nas no nos do da dos das unha un uns unhas con máis pero moi tamén é foi son como "
    "ao aos á ás polo pola polos polas seu súa seus súas nun nunha dun dunha ata cando entre despois sen "
    "mesmo hai ser ter ten teñen foron era está están pode poden debe eles elas quen onde aínda anos día "
    "ben só segundo dixo tras sobre ou xa non toda todo que de se por para el isto iso este esta cal "
    "calquera coa co cos coas lle lles sexa ningún",
    "ca": "el els la les l i en una un uns unes amb del dels al als per però molt també és són va ser com seu "
    "seva seus seves més fins quan entre després sense mateix hi ha tenir té tenen eren era està estan "
    "pot poden ells elles qui on encara anys dia bé només segons sobre aquest aquesta aquests això o ni "
    "ja no tot tota tots totes d que de a es",
    "hi": "है हैं का की के में से को और नहीं यह था थी थे लिए पर कि ने एक किया जो तो भी इस उस कर या हो ही तक "
    "होता होती करने गया हुए द्वारा अपने ये वह वे साथ बाद कुछ सकता सकते रहा रही",
    "mr": "आहे आहेत आणि व या तो ती ते हा ही हे किंवा नाही मध्ये असे असा असेल केला केली केले करण्यात करण्याचा "
    "होते होता होती त्याच्या त्यांच्या प्रत्येक त्या यांनी म्हणून तर पण काही सर्व एक साठी झाला झाली "
    "पाहिजे अशा आपल्या",
    "ne": "छ छन् छैन हुन् हुनेछ हो र पनि भएको गरेको गर्न गर्ने हुने मा लाई बाट तथा वा भन्ने यो त्यो थियो थिए "
    "भयो यस आफ्नो उनी एक कुनै प्रत्येक अनि तर लागि सबै रहेको गरी भने छन गरिएको हुन्छ",
}
FAMILIES = (("pt", "es", "gl", "ca"), ("hi", "mr", "ne"))
ENDINGS = {
    "pt": re.compile("[ãõâêôç]|[ln]h[aoei]|ss|(?:ou|ei|[aei]ram|dades?|mentos?|vel|veis|gem|gens|eiros?|eiras?)$"),
    "gl": re.compile("ñ|^x[aeou]|(?:ción|cións|ou|eu|[aei]ron|dades?|mentos?|ble|bles|eiros?|eiras?|ns)$"),
    "es": re.compile("ñ|ue|(?:ción|ciones|ó|[ei]eron|aron|dad|mientos?|ble|bles|eros?|eras?)$"),
    "ca": re.compile("ç|ss|l·l|ny|^[dl]'|(?:ció|cions|tat|tats|ment|ments|ble|bles|er|ers|eix|aven)$"),
    "mr": re.compile("(?:च्या|ाचा|ाची|ाचे|ांना|ण्यात|मध्ये|ामुळे|ळ)"),
    "ne": re.compile("..(?:हरू|हरु|लाई|को|ले|मा|बाट|एको|नेछ|न्छ)$"),
}
"""Letters and endings by which members of a family know their words."""
LEAD = 3  # words more than the runner-up has, from which on they decide
SIGNS = ' .,;:!?()"«»“”…।-–—'

CANTONESE = frozenset("嘅咗喺冇嚟佢唔啲嗰哋睇乜噉嘢攞畀瞓咁")
CANTONESE_SHARE = 0.02  # of the ideographs; at least .02 in Cantonese of 200 characters, below .002 in Mandarin
CLASSICAL = frozenset("之也者矣曰焉乎哉兮其乃而以")
MODERN = frozenset("的了是这這们們吗嗎呢吧很都把被让讓给給还還没沒在和")
CLASSICAL_SHARE = 0.05  # of the ideographs; modern text of 200 characters has .02 and one in a hundred .06
CLASSICAL_LEAD = 4  # times as many as there are of the words of modern Chinese, which are .1 of it
LEAST = 5  # of them, in a short text
JAPANESE = frozenset("気発薬験対広図団戦歳沢渋畳県砕経縄艶荘覚訳転軽辺遅郷釈鉄関陥隣霊顔髪黒齢塩価働込枠栃畑峠匂笹検剤")
JAPANESE_SHARE = 0.02  # of the ideographs, in Japanese without Kana, such as tables and lists


def family_of(code: str) -> tuple[str, ...]:
    """Return the languages for which a text in the language `code` may be taken, itself among them; () for none."""
    return next((family for family in FAMILIES if code in family), ())


def told_apart(text: str, family: tuple[str, ...]) -> tuple[str, int]:
    """Return (the member of a family whose words a text has, its lead over the runner-up in words)."""
    words = [word for part in text.lower().replace("\u2019", "'").split() if (word := part.strip(SIGNS))]
    counts = {}
    for code in family:
        ending = ENDINGS.get(code)
        known = _SETS[code]
        counts[code] = sum(word in known or bool(ending and ending.search(word)) for word in words)
    first, second = sorted(family, key=lambda code: -counts[code])[:2]
    return first, counts[first] - counts[second]


def of_han(text: str) -> str:
    """Return the language of a text in ideographs without Kana: `zh`, `yue` (Cantonese), `lzh` (classical) or `ja`."""
    han = sum("\u3400" <= char <= "\u9fff" for char in text)
    code, classical = "zh", _count(text, CLASSICAL)
    if _count(text, CANTONESE) >= CANTONESE_SHARE * han and sum(char in text for char in CANTONESE) > 1:
        code = "yue"
    elif _count(text, JAPANESE) >= max(2, JAPANESE_SHARE * han):
        code = "ja"
    elif classical >= max(LEAST, CLASSICAL_SHARE * han) and classical >= CLASSICAL_LEAD * _count(text, MODERN):
        code = "lzh"
    return code


def _count(text: str, chars: Iterable[str]) -> int:
    return sum(map(text.count, chars))


_SETS = {code: frozenset(words.split()) for code, words in WORDS.items()}
