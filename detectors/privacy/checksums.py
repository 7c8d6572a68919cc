"""Check digits of published numbering schemes: what tells a number of a scheme from any other digits."""

from __future__ import annotations

_VERHOEFF_D = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_VERHOEFF_P = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_CODICE_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)


def digits_of(text: str) -> str:
    """Return the ASCII digits of ``text``."""
    return "".join(char for char in text if "0" <= char <= "9")


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: the doubled and the plain digits, counted from the right, add up to a multiple of ten."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iso7064_97(compact: str) -> bool:
    """ISO 7064 MOD 97-10 as ISO 13616 (IBAN) uses it: first four characters to the end, letters to numbers."""
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def weighted(digits: str, weights: tuple[int, ...], modulus: int) -> int:
    """Return the sum of digit times weight, modulo ``modulus``; digits beyond the weights do not count."""
    return sum(int(char) * weight for char, weight in zip(digits, weights, strict=False)) % modulus


def verhoeff(digits: str) -> bool:
    """Verhoeff 1969, as Aadhaar uses it: finds every single wrong digit and every swap of neighbours."""
    check = 0
    for place, char in enumerate(reversed(digits)):
        check = int(_VERHOEFF_D[check][int(_VERHOEFF_P[place % 8][int(char)])])
    return check == 0


def iso7064_11_10(digits: str) -> bool:
    """ISO 7064 MOD 11,10, as the German tax number uses it; the last digit is the check digit."""
    product = 10
    for char in digits[:-1]:
        total = (int(char) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def nhs(digits: str) -> bool:
    """NHS number of England: weights 10 to 2, modulo 11; ten digits."""
    check = 11 - weighted(digits, tuple(range(10, 1, -1)), 11)
    return check != 10 and check % 11 == int(digits[9])


def cpf(digits: str) -> bool:
    """Cadastro de Pessoas Físicas: two check digits modulo 11; eleven digits, not all the same."""
    if len(set(digits)) == 1:
        return False
    first = weighted(digits, tuple(range(10, 1, -1)), 11) * 10 % 11 % 10
    second = weighted(digits, tuple(range(11, 1, -1)), 11) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def pesel(digits: str) -> bool:
    """PESEL: weights 1 3 7 9, modulo 10; month (with the century in it) and day must exist."""
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0


def bsn(digits: str) -> bool:
    """Burgerservicenummer: weights 9 to 2 and -1, modulo 11; nine digits, not all zero."""
    return int(digits) > 0 and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11) == 0


def nir(compact: str) -> bool:
    """Numéro de sécurité sociale of France: 97 minus the first thirteen digits modulo 97; Corsica is 2A or 2B."""
    number = compact[:13].replace("2A", "19").replace("2B", "18")
    return number.isdecimal() and 97 - int(number) % 97 == int(compact[13:])


def dni(compact: str) -> bool:
    """DNI and NIE of Spain: the letter is the number modulo 23; X, Y, Z stand for 0, 1, 2."""
    number = compact[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI_LETTERS[int(number) % 23] == compact[-1]


def hetu(compact: str) -> bool:
    """Henkilötunnus of Finland: the last character is date and serial modulo 31."""
    return _HETU_LETTERS[int(compact[:6] + compact[7:10]) % 31] == compact[10] and 1 <= int(compact[2:4]) <= 12


def codice_fiscale(compact: str) -> bool:
    """Codice fiscale of Italy: odd places by table, even places by value, modulo 26."""
    total = sum(
        _CODICE_ODD[char] if place % 2 == 0 else int(char, 36) - (0 if char.isdecimal() else 10)
        for place, char in enumerate(compact[:15])
    )
    return chr(ord("A") + total % 26) == compact[15]
