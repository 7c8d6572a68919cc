"""Generated texts with and without personal data and secrets: ``python -m tests.bench.detectors.personal_data``.

Every positive is made by the rules of its scheme (check digits included) and set into a sentence; every negative is a
number or word that looks like one and is none. The texts were not used to write the patterns: other seeds, same rules.
"""

from __future__ import annotations

import argparse
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inferwatch.detectors.privacy.checksums import digits_of, luhn, nhs, verhoeff
from inferwatch.detectors.privacy.finding import find

SEED = 20261125
_ALNUM = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Case:
    """A text, the stretch in it that is personal data or a secret (none in a negative), and its kind."""

    text: str
    kind: str
    start: int
    end: int
    what: str


_FRAMES = (
    "{}",
    "My {what} is {}.",
    "Please note {} and call me back.",
    "Hi, I am Ann.\n{what}: {}\nThanks!",
    "They sent ({}) yesterday, is that right?",
    "I wrote it down as {}, but it did not work",
    '{{"value": "{}", "ok": true}}',
    "| name | {} |",
    "Why was {} refused? I have tried it twice.",
    "- first item\n- {}\n- last item",
    "Meine Angabe lautet {}; bitte prüfen Sie das.",
    "Voici {} pour le dossier",
)


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(n))


def _chars(rng: random.Random, n: int, alphabet: str = _ALNUM) -> str:
    return "".join(rng.choice(alphabet) for _ in range(n))


def _until(make: Callable[[], str], good: Callable[[str], bool]) -> str:
    while not good(made := make()):
        pass
    return made


def _email(rng: random.Random) -> str:
    name = rng.choice(["ann", "j.smith", "info+news", "max_mueller", "k-lee", "o.b.1984", "sales%eu", "x"])
    host = rng.choice(["example.com", "mail.example.co.uk", "firma-nord.de", "a1.io", "post.uni-x.edu", "EXAMPLE.ORG"])
    return f"{name}{rng.choice(['', _digits(rng, 2)])}@{host}"


def _phone(rng: random.Random) -> str:
    shape = rng.choice(
        [
            "+44 20 #### ####",
            "+1 ### ### ####",
            "+1-###-###-####",
            "+49 ### #######",
            "0171 ### ####",
            "(020) #### ####",
            "+33 6 ## ## ## ##",
            "020 #### ####",
            "+3467#######",
            "0049 89 ######",
            "(555) ###-####",
            "555-###-####",
        ]
    )
    return "".join(rng.choice("23456789") if char == "#" else char for char in shape)


def _card(rng: random.Random) -> str:
    prefix, n = rng.choice([("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16), ("2221", 16)])
    number = _until(lambda: prefix + _digits(rng, n - len(prefix)), luhn)
    joint = rng.choice(["", " ", "-"])
    return joint.join(number[place : place + 4] for place in range(0, n, 4))


def _iban(rng: random.Random) -> str:
    country, body = rng.choice(
        [
            ("DE", "n" * 18),
            ("GB", "aaaa" + "n" * 14),
            ("FR", "n" * 10 + "c" * 11 + "nn"),
            ("NL", "aaaa" + "n" * 10),
            ("ES", "n" * 20),
            ("IT", "a" + "n" * 10 + "c" * 12),
            ("AT", "n" * 16),
            ("BE", "n" * 12),
            ("PL", "n" * 24),
        ]
    )
    pick = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}
    account = "".join(rng.choice(pick[char]) for char in body)
    number = int("".join(str(int(char, 36)) for char in f"{account}{country}00"))
    compact = f"{country}{98 - number % 97:02d}{account}"
    return (
        " ".join(compact[place : place + 4] for place in range(0, len(compact), 4)) if rng.random() < 0.6 else compact
    )


def _ip(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))


def _ssn(rng: random.Random) -> str:
    return f"{rng.randrange(1, 665):03d}-{rng.randrange(1, 99):02d}-{rng.randrange(1, 9999):04d}"


def _nhs(rng: random.Random) -> str:
    number = _until(lambda: _digits(rng, 10), nhs)
    return f"NHS number {number[:3]} {number[3:6]} {number[6:]}"


def _dni(rng: random.Random) -> str:
    number = _digits(rng, 8)
    return number + "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def _cpf(rng: random.Random) -> str:
    number = _digits(rng, 9)
    for n in (10, 11):
        total = sum(int(char) * weight for char, weight in zip(number, range(n, 1, -1), strict=True))
        number += str(total * 10 % 11 % 10)
    return f"{number[:3]}.{number[3:6]}.{number[6:9]}-{number[9:]}"


def _nir(rng: random.Random) -> str:
    number = f"{rng.choice('12')}{_digits(rng, 2)}{rng.randrange(1, 13):02d}{rng.randrange(1, 95):02d}{_digits(rng, 6)}"
    key = f"{97 - int(number) % 97:02d}"
    return f"{number[0]} {number[1:3]} {number[3:5]} {number[5:7]} {number[7:10]} {number[10:13]} {key}"


def _personnummer(rng: random.Random) -> str:
    day = f"{_digits(rng, 2)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    return _until(lambda: f"{day}-{_digits(rng, 4)}", lambda text: luhn(digits_of(text)))


def _aadhaar(rng: random.Random) -> str:
    number = _until(lambda: rng.choice("23456789") + _digits(rng, 11), verhoeff)
    return f"Aadhaar {number[:4]} {number[4:8]} {number[8:]}"


def _nino(rng: random.Random) -> str:
    pairs = " ".join(_digits(rng, 2) for _ in range(3))
    return f"{rng.choice(['AB', 'JK', 'PR', 'SC', 'WE'])} {pairs} {rng.choice('ABCD')}"


def _key(rng: random.Random) -> str:
    return rng.choice(
        [
            lambda: "sk-" + _chars(rng, 48),
            lambda: "sk-proj-" + _chars(rng, 60),
            lambda: "AKIA" + _chars(rng, 16, string.ascii_uppercase + string.digits),
            lambda: "ghp_" + _chars(rng, 36),
            lambda: "github_pat_" + _chars(rng, 60),
            lambda: "glpat-" + _chars(rng, 20),
            lambda: f"xoxb-{_digits(rng, 12)}-{_chars(rng, 24)}",
            lambda: "sk_live_" + _chars(rng, 24),
            lambda: "AIza" + _chars(rng, 35),
            lambda: f"SG.{_chars(rng, 22)}.{_chars(rng, 43)}",
            lambda: "npm_" + _chars(rng, 36),
            lambda: "hf_" + _chars(rng, 34),
            lambda: f"eyJ{_chars(rng, 33)}.eyJ{_chars(rng, 60)}.{_chars(rng, 43)}",
        ]
    )()


def _private_key(rng: random.Random) -> str:
    kind = rng.choice(["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "])
    body = "\n".join(_chars(rng, 64, _ALNUM + "+/") for _ in range(rng.randrange(3, 20)))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}==\n-----END {kind}PRIVATE KEY-----"


def _url_password(rng: random.Random) -> str:
    scheme = rng.choice(["postgres", "https", "amqp", "redis", "mongodb+srv"])
    return f"{scheme}://{rng.choice(['svc', 'admin', 'app1'])}:{_chars(rng, 14)}@"


def _assignment(rng: random.Random) -> str:
    name = rng.choice(["password", "API_KEY", "client_secret", "token", "secret", "DB_PASSWORD", "access_key"])
    joint = rng.choice(["=", ": ", " = ", '": "'])
    made = _until(lambda: _chars(rng, rng.randrange(10, 33)), lambda one: len(digits_of(one)) > 1)
    return f"{name}{joint}{made}"


POSITIVES: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "email": ("EMAIL", _email),
    "phone": ("PHONE", _phone),
    "card": ("CARD", _card),
    "iban": ("IBAN", _iban),
    "ip": ("IP", _ip),
    "ssn": ("ID", _ssn),
    "nhs": ("ID", _nhs),
    "dni": ("ID", _dni),
    "cpf": ("ID", _cpf),
    "nir": ("ID", _nir),
    "personnummer": ("ID", _personnummer),
    "aadhaar": ("ID", _aadhaar),
    "nino": ("ID", _nino),
    "key": ("SECRET", _key),
    "private key": ("SECRET", _private_key),
    "url password": ("SECRET", _url_password),
    "assignment": ("SECRET", _assignment),
}


def _no_luhn(rng: random.Random) -> str:
    return _until(lambda: "4" + _digits(rng, 15), lambda one: not luhn(one))


NEGATIVES: dict[str, Callable[[random.Random], str]] = {
    "order number": lambda rng: (
        rng.choice(["#", "order ", "A-", "INV-2026-", "PO "]) + _digits(rng, rng.randrange(5, 11))
    ),
    "16 digits, wrong check digit": _no_luhn,
    "version": lambda rng: f"v{rng.randrange(1, 20)}.{rng.randrange(0, 40)}.{rng.randrange(0, 2000)}",
    "version of four parts": lambda rng: (
        f"version 10.{rng.randrange(0, 99)}.{rng.randrange(256, 9999)}.{rng.randrange(1, 9)}"
    ),
    "timestamp": lambda rng: (
        f"2026-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:04:09.{_digits(rng, 6)}Z"
    ),
    "epoch in milliseconds": lambda rng: f"17{_digits(rng, 11)}",
    "amount": lambda rng: f"{rng.randrange(1, 999)},{_digits(rng, 3)}.{_digits(rng, 2)} EUR",
    "uuid": lambda rng: "-".join(_chars(rng, n, "0123456789abcdef") for n in (8, 4, 4, 4, 12)),
    "sha-256": lambda rng: _chars(rng, 64, "0123456789abcdef"),
    "isbn": lambda rng: f"978-{_digits(rng, 1)}-{_digits(rng, 4)}-{_digits(rng, 4)}-{_digits(rng, 1)}",
    "coordinates": lambda rng: (
        f"{rng.randrange(-80, 80)}.{_digits(rng, 6)}, {rng.randrange(10, 170)}.{_digits(rng, 6)}"
    ),
    "handle": lambda rng: f"@user{_digits(rng, 3)}",
    "decorator": lambda rng: "@app.route",
    "wrong iban": lambda rng: "DE00" + _digits(rng, 18),
    "serial number": lambda rng: f"SN{_digits(rng, 4)}-{_chars(rng, 6, string.ascii_uppercase + string.digits)}",
    "placeholder secret": lambda rng: rng.choice(
        [
            "password=<your-password>",
            "API_KEY=${API_KEY}",
            "token: YOUR_TOKEN_HERE",
            "secret = os.environ['SECRET']",
            "password: ********",
            "api_key=xxxxxxxxxxxxxxxx",
            "token = config.token2fa",
            "password is required",
        ]
    ),
    "talk of keys": lambda rng: rng.choice(
        [
            "the primary key is customer_id",
            "press any key: escape1234",
            "token: 2 of 3 used",
            "the secret is patience",
            "max_tokens=2048",
            "sk-learn is a library",
            "the task-oriented-dialogue-systems paper",
        ]
    ),
    "date range": lambda rng: (
        f"{rng.randrange(1, 29):02d}.{rng.randrange(1, 13):02d}.2025-{rng.randrange(1, 29):02d}.01.2026"
    ),
    "part number": lambda rng: f"{_digits(rng, 3)}-{_digits(rng, 3)}-{_digits(rng, 2)}",
    "sum": lambda rng: " + ".join(str(rng.randrange(100, 9999)) for _ in range(4)),
    "nine digits": lambda rng: f"customer {_digits(rng, 9)}",
    "eleven digits": lambda rng: f"tracking {rng.choice('123456789')}{_digits(rng, 10)}",
    "phone-like id": lambda rng: f"id_{_digits(rng, 10)}",
}


def cases(seed: int = SEED, each: int = 120) -> Iterator[Case]:
    """Return ``each`` texts of every kind and of every hard negative."""
    rng = random.Random(seed)
    makers = [(what, kind, make) for what, (kind, make) in POSITIVES.items()]
    makers += [(what, "", make) for what, make in NEGATIVES.items()]
    for what, kind, make in makers:
        for _ in range(each):
            made = make(rng)
            text = rng.choice(_FRAMES).format(made, what=what if kind else "note")
            start = text.index(made)
            yield Case(text, kind, start, start + len(made), what)


def measure(seed: int = SEED, each: int = 120) -> dict[str, dict[str, float]]:
    """Return recall by what was to be found, false alarms by negative, and recall and precision by kind.

    A finding is right where it overlaps what was put in and has its kind; every other is wrong, in positives too.
    """
    hit: dict[str, int] = {}
    right: dict[str, int] = {}
    wrong: dict[str, int] = {}
    alarms: dict[str, int] = {}
    for case in cases(seed, each):
        found = find(case.text, unsure=True)
        good = [one for one in found if one.kind.name == case.kind and one.start < case.end and case.start < one.end]
        for one in found:
            count = right if one in good else wrong
            count[one.kind.name] = count.get(one.kind.name, 0) + 1
        if case.kind:
            hit[case.what] = hit.get(case.what, 0) + bool(good)
        else:
            alarms[case.what] = alarms.get(case.what, 0) + bool(found)
    kinds = sorted({kind for kind, _ in POSITIVES.values()})
    recall: dict[str, list[float]] = {kind: [] for kind in kinds}
    for what, (kind, _) in POSITIVES.items():
        recall[kind].append(hit[what] / each)
    return {
        "recall": {what: round(n / each, 3) for what, n in hit.items()},
        "false alarms": {what: round(n / each, 3) for what, n in alarms.items()},
        "recall by kind": {kind: round(sum(own) / len(own), 3) for kind, own in recall.items()},
        "precision by kind": {
            kind: round(right.get(kind, 0) / max(right.get(kind, 0) + wrong.get(kind, 0), 1), 3) for kind in kinds
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--each", type=int, default=120)
    options = parser.parse_args()
    print(json.dumps(measure(options.seed, options.each), indent=1))
