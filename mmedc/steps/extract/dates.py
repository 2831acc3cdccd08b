"""Dates as pages write them, in the languages of the project, as ISO 8601."""

import calendar
import datetime
import re
import time

EARLIEST = "1900-01-02"
"""The first day that is believed; the defaults of broken systems (1970-01-01, 0001-01-01) are refused too."""

_NAMES = {
    "en": "january february march april may june july august september october november december",
    "en short": "jan feb mar apr may jun jul aug sep oct nov dec",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "es short": "ene feb mar abr may jun jul ago set oct nov dic",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "pt short": "jan fev mar abr mai jun jul ago set out nov dez",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "fr short": "janv févr mars avr mai juin juil aout sept oct nov déc",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "it short": "gen feb mar apr mag giu lug ago sett ott nov dic",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "de short": "jän feb mär apr mai jun jul aug sept okt nov dez",
    "de Austria": "jänner feber maerz april mai juni juli august september oktober november dezember",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "ru nominative": "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "ru short": "янв фев мар апр мая июн июл авг сен окт ноя дек",
    "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    "ar plain": "يناير فبراير مارس ابريل مايو يونيه يوليه اغسطس سبتمبر اكتوبر نوفمبر ديسمبر",
    "ar Maghreb": "جانفي فيفري مارس أفريل ماي جوان جويلية أوت سبتمبر أكتوبر نوفمبر ديسمبر",
    "ar Levant": "كانون-الثاني شباط آذار نيسان أيار حزيران تموز آب أيلول تشرين-الأول تشرين-الثاني كانون-الأول",
    "hi": "जनवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
    "hi variant": "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितम्बर अक्तूबर नवम्बर दिसम्बर",
}
MONTHS = {name.replace("-", " "): month for line in _NAMES.values() for month, name in enumerate(line.split(), start=1)}
ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
"""Japanese eras, with the year before their first."""

_MONTH = "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True))
_YEAR = r"(?P<y>(?:19|20)\d\d|[٠-٩]{4}|[०-९]{4})"
FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\d){_YEAR}\s?[-/.年년]\s?(?P<m>\d\d?)\s?[-/.月월]\s?(?P<d>\d\d?)(?!\d)",
        r"(?P<e>令和|平成|昭和)\s?(?P<y>\d\d?|元)\s?年\s?(?P<m>\d\d?)\s?月\s?(?P<d>\d\d?)\s?日",
        rf"(?<!\d)(?P<d>\d\d?)(?:st|nd|rd|th|er|º|ª|\.)?[\s-]{{0,2}}(?:of |de |di |do )?(?P<n>{_MONTH})[a-z]?\.?,?"
        rf"[\s-]{{0,2}}(?:de |del |di )?{_YEAR}(?!\d)",
        rf"(?<!\w)(?P<n>{_MONTH})\.?\s{{0,2}}(?P<d>\d\d?)(?:st|nd|rd|th)?,?\s{{1,3}}{_YEAR}(?!\d)",
        rf"(?<!\d){_YEAR}[\s,-]{{1,2}}(?P<n>{_MONTH})\.?[\s-]{{1,2}}(?P<d>\d\d?)(?!\d)",
        r"(?<![\d.])(?P<a>\d\d?)\s?(?P<s>[./-])\s?(?P<b>\d\d?)\s?(?P=s)\s?(?P<y>(?:19|20)\d\d|\d\d(?=\D|$))(?!\d)",
        r"^\s*(?P<y>(?:19|20)\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)(?=T?\d{0,6}Z?\s*$)",
    )
)
"""Complete dates: ISO 8601 and CJK; Japanese eras; day, month, year; month, day, year; year, month, day; numbers."""

PARTIAL = re.compile(r"^\s*(?P<y>(?:19|20)\d\d)(?:\s?[-/.年]\s?(?P<m>0?[1-9]|1[0-2])\s?月?)?\s*$")
EPOCH = re.compile(r"^\s*(?P<s>[1-9]\d{8,9})(?P<ms>\d{3})?(?:\.0)?\s*$")
IN_PATH = re.compile(r"/((?:19|20)\d\d)[/-]?(0[1-9]|1[0-2])[/-]?(0[1-9]|[12]\d|3[01])(?=[/_.-]|$|\D)")
MONTH_FIRST = frozenset(("en", "en-us", "en_us", "es-us", ""))
"""Declared languages in which 3/5/2024 is the fifth of March."""


def read_date(value: str, lang: str = "", *, partial: bool = False) -> str | None:
    """Return the first complete date in a text as `2024-03-05`, or None.

    `lang` is the declared language of the page, which says whether the month comes first in 3/5/2024. With
    `partial`, a value that is a month, a year or a number of seconds since 1970 is a date too.
    """
    value = value[:200]
    first: tuple[int, str] | None = None
    for form in FORMS:
        for found in form.finditer(value):
            if (date := _date(found.groupdict(), lang)) and (first is None or found.start() < first[0]):
                first = found.start(), date
                break
    if first or not partial:
        return first and first[1]
    if month := PARTIAL.match(value):
        return month["y"] + (f"-{int(month['m']):02d}" if month["m"] else "")
    if seconds := EPOCH.match(value):
        return time.strftime("%Y-%m-%d", time.gmtime(int(seconds["s"])))
    return None


def _date(parts: dict[str, str | None], lang: str) -> str | None:
    """Return the date of the named groups of a form, or None where there is no such day."""
    year = 1 if parts["y"] == "元" else int(parts["y"] or 0)
    if parts.get("e"):
        year += ERAS[str(parts["e"])]
    elif year < 100:
        year += 2000 if year < 70 else 1900
    if parts.get("a"):
        one, two = int(parts["a"] or 0), int(parts["b"] or 0)
        month_first = two > 12 or (one <= 12 and parts["s"] == "/" and lang.lower() in MONTH_FIRST)
        month, day = (one, two) if month_first else (two, one)
    else:
        name = parts.get("n")
        month = MONTHS[name.lower()] if name else int(parts["m"] or 0)
        day = int(parts["d"] or 0)
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return f"{year:04d}-{month:02d}-{day:02d}"


def date_of_path(path: str) -> str | None:
    """Return the day that the path of an address names (`/2024/03/05/`), or None."""
    found = IN_PATH.search(path)
    return "-".join(found.groups()) if found else None


def believable(date: str | None, latest: str) -> bool:
    """Return whether a date is neither before `EARLIEST` nor after `latest` nor the default of a broken system."""
    return date is not None and EARLIEST <= date <= latest[: len(date)] and date != "1970-01-01"


def days_between(one: str, other: str) -> int:
    """Return the number of days between two complete dates, or a large number where one is not complete."""
    if len(one) != len(other) or len(one) != 10:
        return 1 << 30
    return abs((datetime.date.fromisoformat(one) - datetime.date.fromisoformat(other)).days)
