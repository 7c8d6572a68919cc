"""What quantities are made of: number words, scales, units with their factors, months, words that make them loose."""

from __future__ import annotations

_UP_TO_NINETEEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS_LIST = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINAL_LIST = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth"
)
_MONTH_LIST = "january february march april may june july august september october november december"
_SHORT_MONTH_LIST = "jan feb mar apr may jun jul aug sep oct nov dec"

SPELLED = {word: value for value, word in enumerate(_UP_TO_NINETEEN.split())} | {"dozen": 12}
TENS = {word: 10 * (place + 2) for place, word in enumerate(_TENS_LIST.split())}
SPELLED_ORDINALS = {word: place + 3 for place, word in enumerate(_ORDINAL_LIST.split())}
SCALES = {
    "hundred": 100.0,
    "thousand": 1e3,
    "k": 1e3,
    "m": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "mn": 1e6,
    "mln": 1e6,
    "billion": 1e9,
    "bn": 1e9,
    "trillion": 1e12,
}
MONTHS = (
    {word: place + 1 for place, word in enumerate(_MONTH_LIST.split())}
    | {word: place + 1 for place, word in enumerate(_SHORT_MONTH_LIST.split())}
    | {"sept": 9}
)
_WEEKDAY_LIST = "monday tuesday wednesday thursday friday saturday sunday"
WEEKDAYS = frozenset(_WEEKDAY_LIST.split())
MONEY_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_UNIT_ROWS = (
    ("time", 1, "second seconds sec secs"),
    ("time", 60, "minute minutes min mins"),
    ("time", 3600, "hour hours hr hrs"),
    ("time", 86_400, "day days"),
    ("time", 604_800, "week weeks"),
    ("time", 1_209_600, "fortnight fortnights"),
    ("months", 1, "month months"),
    ("months", 12, "year years yr yrs"),
    ("months", 120, "decade decades"),
    ("months", 1200, "century centuries"),
    ("length", 0.001, "mm millimetre millimetres millimeter millimeters"),
    ("length", 0.01, "cm centimetre centimetres centimeter centimeters"),
    ("length", 1, "metre metres meter meters"),
    ("length", 1000, "km kilometre kilometres kilometer kilometers"),
    ("length", 0.3048, "foot feet ft"),
    ("length", 0.0254, "inch inches"),
    ("length", 1609.344, "mile miles"),
    ("mass", 0.001, "gram grams"),
    ("mass", 1, "kg kgs kilo kilos kilogram kilograms"),
    ("mass", 1000, "tonne tonnes"),
    ("mass", 0.45359237, "lb lbs"),
    ("data", 1e3, "kb kilobyte kilobytes"),
    ("data", 1e6, "mb megabyte megabytes"),
    ("data", 1e9, "gb gigabyte gigabytes"),
    ("data", 1e12, "tb terabyte terabytes"),
    ("volume", 1, "litre litres liter liters"),
    ("volume", 0.001, "ml millilitre millilitres milliliter milliliters"),
    ("power", 1, "kw kilowatt kilowatts"),
    ("energy", 1, "kwh"),
    ("%", 1, "% percent pct"),
    ("USD", 1, "dollar dollars usd buck bucks $"),
    ("USD", 0.01, "cent cents"),
    ("EUR", 1, "euro euros eur €"),
    ("GBP", 1, "gbp £ quid"),
    ("JPY", 1, "yen jpy ¥"),
)
UNITS: dict[str, tuple[str, float]] = {
    word: (dimension, float(factor)) for dimension, factor, words in _UNIT_ROWS for word in words.split()
}
HEDGES = (
    "about",
    "around",
    "approximately",
    "approx",
    "roughly",
    "nearly",
    "almost",
    "some",
    "over",
    "more than",
    "at least",
    "less than",
    "fewer than",
    "under",
    "up to",
    "close to",
    "circa",
)
_NOT_HEAD_LIST = (
    "a an the and or but of in on at by for from to with as is are was were has have had be been that which who it he "
    "she they will would can could may not also per if than then when while after before until since between"
)
NOT_HEADS = frozenset(_NOT_HEAD_LIST.split())
_PASSED_OVER_LIST = "more different new other additional further"
PASSED_OVER = frozenset(_PASSED_OVER_LIST.split())
