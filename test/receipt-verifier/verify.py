"""Verifies Assent receipts, proofs of erasure and statements of disclosures. Follows docs/receipt.md; needs nothing but Python 3.8.

verify.py FILE… [--trust TRUSTED]…  one line per file: the verdict, and why; a checkpoint must be by one of the logs and all of the cosigners among the
verifier keys that are trusted, and a receipt be anchored as each `anchor …` among them says
verify.py --lines                        stdin: one file in base64 per line, behind it what is trusted, all divided by tabs; stdout: one verdict per line
Exit code: 0 proven, 1 refuted, 2 unreadable, 3 erased; of several files the worst.
"""
import base64
import functools
import hashlib
import json
import math
import re
import sys
import zlib

# --- Ed25519 (RFC 8032 §5.1.7) and ECDSA over P-256 with SHA-256 (FIPS 186-5), verification only: nothing here is secret ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def ed_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - square) % P != 0:
        return None
    return P - x if x % 2 != sign and x != 0 else x


def ed_add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return (i * j % P, k * m % P, j * k % P, i * m % P)


def ed_times(n, point):
    result = (0, 1, 1, 0)
    while n > 0:
        if n & 1:
            result = ed_add(result, point)
        point, n = ed_add(point, point), n >> 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = ed_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


@functools.lru_cache(maxsize=256)
def ed25519_holds(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    number = int.from_bytes(key, "little")
    y = number & (2**255 - 1)
    x = ed_x(y % P, number >> 255)
    s = int.from_bytes(signature[32:], "little")
    if x is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    minus_a = (P - x, y % P, 1, (P - x) * y % P)
    rx, ry, rz, _ = ed_add(ed_times(s, BASE), ed_times(h, minus_a))
    inverse = pow(rz, P - 2, P)
    encoded = (ry * inverse % P) | ((rx * inverse % P & 1) << 255)
    return encoded.to_bytes(32, "little") == signature[:32]


Q = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)


def p256_add(a, b):
    """Jacobian coordinates; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    (x1, y1, z1), (x2, y2, z2) = a, b
    u1, u2 = x1 * z2 * z2 % Q, x2 * z1 * z1 % Q
    s1, s2 = y1 * z2 * z2 * z2 % Q, y2 * z1 * z1 * z1 % Q
    if u1 == u2:
        if s1 != s2 or y1 == 0:
            return None
        s, m = 4 * x1 * y1 * y1 % Q, 3 * (x1 - z1 * z1) * (x1 + z1 * z1) % Q
        x = (m * m - 2 * s) % Q
        return (x, (m * (s - x) - 8 * pow(y1, 4, Q)) % Q, 2 * y1 * z1 % Q)
    h, r = u2 - u1, s2 - s1
    hh = h * h % Q
    x = (r * r - h * hh - 2 * u1 * hh) % Q
    return (x, (r * (u1 * hh - x) - s1 * h * hh) % Q, h * z1 * z2 % Q)


def p256_times(n, point):
    result = None
    while n > 0:
        if n & 1:
            result = p256_add(result, point)
        point, n = p256_add(point, point), n >> 1
    return result


@functools.lru_cache(maxsize=256)
def es256_holds(x, y, message, signature):
    if len(x) != 32 or len(y) != 32 or len(signature) != 64:
        return False
    x, y = int.from_bytes(x, "big"), int.from_bytes(y, "big")
    if x >= Q or y >= Q or (y * y - x * x * x + 3 * x - B) % Q != 0:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    e = int.from_bytes(hashlib.sha256(message).digest(), "big")
    w = pow(s, N - 2, N)
    point = p256_add(p256_times(e * w % N, G), p256_times(r * w % N, (x, y, 1)))
    return point is not None and point[0] * pow(point[2], (Q - 2) * 2, Q) % Q % N == r


# --- ML-DSA-44 (FIPS 204 §6.3), verification only, with an empty context ---

MQ, D_BITS, TAU, GAMMA1, GAMMA2, BETA, OMEGA, ROWS = 8380417, 13, 39, 2**17, (8380417 - 1) // 88, 78, 80, 4
ZETAS = [pow(1753, int(format(i, "08b")[::-1], 2), MQ) for i in range(256)]


def ntt(polynomial):
    w, m, length = list(polynomial), 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            m += 1
            for j in range(start, start + length):
                t = ZETAS[m] * w[j + length]
                w[j], w[j + length] = (w[j] + t) % MQ, (w[j] - t) % MQ
        length //= 2
    return w


def inverse_ntt(transformed):
    w, m, length = list(transformed), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            m -= 1
            for j in range(start, start + length):
                a, b = w[j], w[j + length]
                w[j], w[j + length] = (a + b) % MQ, ZETAS[m] * (b - a) % MQ
        length *= 2
    return [each * 8347681 % MQ for each in w]


def packed(data, bits):
    """SimpleBitUnpack."""
    number = int.from_bytes(data, "little")
    return [number >> bits * i & (1 << bits) - 1 for i in range(len(data) * 8 // bits)]


def uniform(seed):
    """RejNTTPoly."""
    stream = hashlib.shake_128(seed).digest(8 * 168)
    values = (int.from_bytes(stream[i : i + 3], "little") & 0x7FFFFF for i in range(0, len(stream), 3))
    return [value for value in values if value < MQ][:256]


@functools.lru_cache(maxsize=8)
def matrix(rho):
    return [[uniform(rho + bytes([column, row])) for column in range(ROWS)] for row in range(ROWS)]


def in_ball(seed):
    stream = hashlib.shake_256(seed).digest(8 + 136 * 8)
    signs, at, c = int.from_bytes(stream[:8], "little"), 8, [0] * 256
    for i in range(256 - TAU, 256):
        while stream[at] > i:
            at += 1
        c[i] = c[stream[at]]
        c[stream[at]] = 1 - 2 * (signs & 1)
        signs, at = signs >> 1, at + 1
    return c


def hints(data):
    """HintBitUnpack: for each row the places where a hint stands, or None."""
    rows, index = [], 0
    for end in data[OMEGA:]:
        if not index <= end <= OMEGA:
            return None
        places = list(data[index:end])
        if any(a >= b for a, b in zip(places, places[1:])):
            return None
        rows.append(set(places))
        index = end
    return rows if not any(data[index:OMEGA]) else None


def use_hint(hint, r):
    r0 = r % (2 * GAMMA2)
    r0 = r0 - 2 * GAMMA2 if r0 > GAMMA2 else r0
    r1, r0 = (0, r0 - 1) if r - r0 == MQ - 1 else ((r - r0) // (2 * GAMMA2), r0)
    return (r1 + (1 if r0 > 0 else -1)) % 44 if hint else r1


@functools.lru_cache(maxsize=256)
def mldsa44_holds(key, message, signature):
    if len(key) != 1312 or len(signature) != 2420:
        return False
    challenge, hint = signature[:32], hints(signature[2336:])
    z = [[GAMMA1 - each for each in packed(signature[32 + 576 * i : 608 + 576 * i], 18)] for i in range(ROWS)]
    if hint is None or any(abs(each) >= GAMMA1 - BETA for row in z for each in row):
        return False
    mu = hashlib.shake_256(hashlib.shake_256(key).digest(64) + b"\0\0" + message).digest(64)
    c, z = ntt(in_ball(challenge)), [ntt(row) for row in z]
    commitment = b""
    for i, row in enumerate(matrix(key[:32])):
        t1 = ntt([each << D_BITS for each in packed(key[32 + 320 * i : 352 + 320 * i], 10)])
        w = inverse_ntt([(sum(a[n] * b[n] for a, b in zip(row, z)) - c[n] * t1[n]) % MQ for n in range(256)])
        w1 = sum(use_hint(n in hint[i], each) << 6 * n for n, each in enumerate(w))
        commitment += w1.to_bytes(192, "little")
    return hashlib.shake_256(mu + commitment).digest(32) == challenge


# --- JSON: read strictly, written as §2 says, and canonically (RFC 8785) ---


class Unreadable(Exception):
    pass


class Refuted(Exception):
    pass


def refuse(_):
    raise ValueError("no JSON")


def read_json(text):
    return json.loads(text, parse_int=float, parse_constant=refuse)


def number_text(value):
    """ECMAScript Number::toString."""
    if not math.isfinite(value):
        raise ValueError("no JSON number")
    if value == 0:
        return "0"
    sign, digits, exponent = ("-" if value < 0 else ""), "", 0
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + ("" if fraction == "0" else fraction)).lstrip("0")
    fraction = "" if fraction == "0" else fraction
    n = len(whole + fraction) - len(fraction) + int(power or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    k = len(digits)
    if k <= n <= 21:
        return sign + digits + "0" * (n - k)
    if 0 < n <= 21:
        return sign + digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return sign + "0." + "0" * -n + digits
    exponent = n - 1
    tail = "e" + ("+" if exponent > 0 else "-") + str(abs(exponent))
    return sign + digits[0] + ("." + digits[1:] if k > 1 else "") + tail


def string_text(value):
    value.encode("utf-8")  # UnicodeEncodeError (a ValueError): half a surrogate pair
    return json.dumps(value, ensure_ascii=False)


def is_array_index(name):
    return re.fullmatch("0|[1-9][0-9]{0,9}", name) is not None and int(name) < 2**32 - 1


def as_written(names):
    places = sorted((name for name in names if is_array_index(name)), key=int)
    return places + [name for name in names if not is_array_index(name)]


def canonical(names):
    return sorted(names, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def write_json(value, order):
    if isinstance(value, dict):
        return "{" + ",".join(string_text(name) + ":" + write_json(value[name], order) for name in order(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write_json(each, order) for each in value) + "]"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, str):
        return string_text(value)
    return {None: "null", True: "true", False: "false"}[value]


# --- §2 The file ---

KINDS = (
    "disclosure denial write break-glass consent-proposed consent-active consent-withdrawn consent-suspended consent-superseded consent-rejected "
    "erasure key-registered key-revoked key-recovery-opened key-recovery-stopped authority-granted authority-ended map-root log-key-rotated"
).split()


def is_text(value):
    return isinstance(value, str)


def is_count(value):
    return isinstance(value, float) and value.is_integer() and 0 <= value < 2**53


def is_null(value):
    return value is None


def is_kind(value):
    return value in KINDS


def is_object(value):
    return isinstance(value, dict)


def either(one, other):
    return lambda value: one(value) or other(value)


def list_of(check):
    return lambda value: isinstance(value, list) and all(map(check, value))


def shape(required, optional=None):
    checks = {**required, **(optional or {})}
    return lambda value: (
        isinstance(value, dict)
        and all(name in value for name in required)
        and all(name in checks and checks[name](member) for name, member in value.items())
    )


def is_erases(value):
    return isinstance(value, list) and len(value) > 0 and all(map(is_count, value)) and all(a < b for a, b in zip(value, value[1:]))


ENTRY = {
    "kind": is_kind,
    "occurredAt": is_text,
    "subject": either(is_text, is_null),
    "digest": is_text,
    "index": is_count,
    "subjectSeq": is_count,
    "previous": either(is_count, is_null),
    "salt": is_text,
}
HEAD = {"format": is_text, "log": is_text, "checkpoint": is_text, "proof": list_of(is_text)}
is_entry = shape(ENTRY, {"version": is_text, "statement": is_text, "signatures": list_of(is_text)})
WITNESSES = {"witnesses": list_of(is_text), "rotations": list_of(shape({"rotation": is_text, "entry": is_entry}))}
is_receipt = shape(
    {
        **HEAD,
        "event": either(shape({"event": is_text, "entry": is_entry}), is_null),
        "consents": list_of(
            shape({"consent": is_text, "entry": is_entry, "terms": either(is_object, is_null), "signatures": list_of(is_text)})
        ),
        "keys": list_of(shape({"key": is_text, "entry": is_entry})),
    },
    {
        **WITNESSES,
        "authorities": list_of(shape({"authority": is_text, "entry": is_entry})),
        "anchors": list_of(
            either(
                shape(
                    {
                        "aggregate": is_text,
                        "checkpoint": is_text,
                        "index": is_count,
                        "member": is_text,
                        "inclusion": list_of(is_text),
                        "consistency": list_of(is_text),
                    },
                    {"stamp": is_text},
                ),
                shape({"anchor": is_text, "consistency": list_of(is_text)}, {"stamp": is_text}),
            )
        ),
        "current": shape({"upTo": is_count, "root": is_text, "entry": is_entry, "proofs": list_of(shape({"proof": is_text}, {"next": is_count}))}),
    },
)
is_erasure = shape({**HEAD, "reference": is_text, "entry": shape({**ENTRY, "erases": is_erases})}, WITNESSES)
is_place = shape({"index": is_count, "subjectSeq": is_count, "previous": either(is_count, is_null)})
is_link = either(
    shape(
        {
            "reference": is_text,
            "event": either(is_text, is_null),
            "entry": shape(ENTRY, {"version": is_text, "statement": is_text, "signatures": list_of(is_text), "erases": is_erases}),
        }
    ),
    shape({"erased": is_place}),
)
is_statement = shape({**HEAD, "patient": is_text, "newest": lambda value: isinstance(value, bool), "links": list_of(is_link)}, WITNESSES)
FORMATS = {"assent-receipt-1": is_receipt, "assent-erasure-1": is_erasure, "assent-disclosures-1": is_statement}
NAMED_FIRST = ("assent-erasure-1", "assent-disclosures-1")


def statement_in(text):
    """§7: the statement in the answer of $disclosures as it came."""
    try:
        value = None if text.startswith('{"format":') else read_json(text)
    except (ValueError, RecursionError):
        return None
    parameters = value.get("parameter") if isinstance(value, dict) and value.get("resourceType") == "Parameters" else None
    found = next((each for each in items(parameters) if inner(each, "name") == "statement"), None)
    statement = inner(found, "valueString")
    return statement if isinstance(statement, str) else None


MOST_BYTES = 60_000_000


def inflated(data, stream, most):
    """Whole, with nothing behind it, and never more than a byte beyond the most."""
    try:
        plain = stream.decompress(data, most + 1)
    except zlib.error:
        raise Unreadable("It is not compressed so, or damaged.")
    if len(plain) > most:
        raise Unreadable("It is too large.")
    if not stream.eof or stream.unused_data:
        raise Unreadable("It is cut off, or something stands behind it.")
    return plain


MOST_UNITS = 20_000_000
# The lines of the dictionary in docs/receipt.md §2.
WORDS = r"""
"anchors":[{"anchor":"assent-anchor-1\n"},{"aggregate":","member":"inclusion":[],"consistency":[],"stamp":"rfc3161 evm 
"witnesses":["rotations":[{"rotation":"assent-key-rotation-1\n"log-key-rotated"
"current":{"upTo":,"root":"","entry":{"kind":"map-root","occurredAt":","subject":null,"version":""proofs":[{"proof":"","next":
"authorities":[{"authority":"{\"event\":\"granted\",\"id\":\"\",\"statement\":\"\",\"signature\":\"\",\"delegate\":\"RelatedPerson/\"basis\":\"patient\"\"related-person\"
\"passkey\":{\"credentialId\":\"\",\"rpId\":\"{\"id\":\"\",\"authenticatorData\":\"\",\"clientDataJSON\":\"\",\"signature\":\"{"type":"webauthn.get","challenge":"","origin":"https://","crossOrigin":false}
\"jwk\":{\"crv\":\"Ed25519\",\"x\":\"\",\"kty\":\"OKP\"},\"proofing\":\"{"alg":"EdDSA","kid":"
DIAGN READ SELECT ABSTRACT {\"system\":\"http://terminology.hl7.org/CodeSystem/v3-ActCode\",\"code\":\"{\"system\":\"http://terminology.hl7.org/CodeSystem/v3-Confidentiality\",\"code\":\"N\"}\"dataPeriod\":{\"securityLabel\":[\"class\":[{\"system\":\"http://hl7.org/fhir/resource-types\",\"code\":\"
\"action\":\"C\"create\"update\"delete\"vread\"history-instance\"operation\"action\":\"E\"search-type\"outcome\":\"8\"outcomeDesc\":\"\"query\":\"\"detail\":[{\"type\":\"\",\"valueString\":\"Observation/Condition/MedicationRequest/Encounter/DiagnosticReport/
,\"text\":{\"status\":\"generated\",\"div\":\"<div xmlns=\\\"http://www.w3.org/1999/xhtml\\\"><p>Consent of Patient/</p><p>I allow the reading of my record; by for any purpose; only records of the kinds: until I withdraw it.</p><p>The record is held by: 
<p>知情同意，患者 Patient/</p><p>我允许查阅我的记录; 查阅者 ; 用途 医疗付费结算（HPAYMT）治疗（TREAT）; 仅限记录类型：; 自 T00:00:00Z 至 T23:59:59.999Z.</p><p>记录保管方：</p></div>\"}}
","checkpoint":"\n\n\n— =\n","event":{"event":"{\"resourceType\":\"AuditEvent\",\"id\":\"\",\"meta\":{\"versionId\":\"\",\"lastUpdated\":\"2026-\"},\"type\":{\"system\":\"http://terminology.hl7.org/CodeSystem/audit-event-type\",\"code\":\"rest\"},\"subtype\":[{\"system\":\"http://hl7.org/fhir/restful-interaction\",\"code\":\"read\"}],\"action\":\"R\",\"recorded\":\"2026-\",\"outcome\":\"0\",\"purposeOfEvent\":[{\"coding\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/v3-ActReason\",\"code\":\"TREAT\"}]}],\"agent\":[{\"who\":{\"reference\":\"Practitioner/\"},\"altId\":\"\",\"requestor\":true}],\"source\":{\"observer\":{\"display\":\"https://\"}},\"entity\":[{\"what\":{\"reference\":\"Patient/\"},\"role\":{\"system\":\"http://terminology.hl7.org/CodeSystem/object-role\",\"code\":\"1\"}},{\"what\":{\"reference\":\"Patient/\"},\"role\":{\"system\":\"http://terminology.hl7.org/CodeSystem/object-role\",\"code\":\"4\"}},{\"what\":{\"reference\":\"Consent//_history/\"},\"role\":{\"system\":\"http://terminology.hl7.org/CodeSystem/object-role\",\"code\":\"13\"}}]}","entry":{"kind":"disclosure","occurredAt":"2026-
}},"consents":[{"consent":"{\"resourceType\":\"Consent\",\"id\":\"\",\"meta\":{\"versionId\":\"\",\"lastUpdated\":\"2026-\"},\"status\":\"active\",\"scope\":{\"coding\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/consentscope\",\"code\":\"patient-privacy\"}]},\"category\":[{\"coding\":[{\"system\":\"http://loinc.org\",\"code\":\"59284-0\"}]}],\"patient\":{\"reference\":\"Patient/\"},\"dateTime\":\"2026-\",\"organization\":[{\"reference\":\"Organization/\"}],\"policy\":[{\"uri\":\"urn:assent:consent-semantics:1\"}],\"provision\":{\"type\":\"permit\",\"period\":{\"start\":\"2026-\",\"end\":\"202\"},\"actor\":[{\"role\":{\"coding\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/v3-ParticipationType\",\"code\":\"IRCP\"}]},\"reference\":{\"reference\":\"Organization/\"}}],\"purpose\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/v3-ActReason\",\"code\":\"
","entry":{"kind":"consent-active","occurredAt":"2026-
"},"terms":{"audience":"https:///fhir","created":"2026-","custodians":["Organization/"],"expires":"2026-","nonce":"","period":{"end":"202","start":"2026-"},"purposes":["TREAT"],"requesters":[{"keys":[],"reference":"Organization/"}],"semantics":"urn:assent:consent-semantics:1","shown":{"digest":"","language":"zh"},"type":"urn:assent:consent-statement:1"},"signatures":["
{"alg":"ES256","kid":""}..","
"]}],"keys":[{"key":"{\"event\":\"registered\",\"kid\":\"\",\"owner\":\"Patient/\",\"role\":\"patient\",\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"\"},\"proofing\":\"in-person\",\"enrolledBy\":{\"client\":\"admin-\",\"actor\":\"Device/assent-administrator\"},\"occurredAt\":\"2026-
.000Z\"}","entry":{"kind":"key-registered","occurredAt":"2026-
Z","subject":"","version":"","digest":"","statement":"","signatures":["","
"],"index":1,"subjectSeq":,"previous":,"salt":""}},{"key":"{\"event\":\"registered\",\"kid\":\"\",\"owner\":\"Organization/\",\"role\":\"custodian\",\"jwk\":{\"kty\":\"EC\"
Z","subject":null,"digest":"","index":,"subjectSeq":0,"previous":null,"salt":""}}],"proof":["","","
{"format":"assent-receipt-1","log":"
"""


def utf16_units(text):
    return len(text.encode("utf-16-le")) // 2


def string_literals(text):
    """With their quotes, names and values alike."""
    found, begin = [], text.find('"')
    while begin >= 0:
        end = begin + 1
        while end < len(text) and text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        found.append(text[begin : end + 1])
        begin = text.find('"', end + 1)
    return found


def expanded(text, raw):
    """§2: signs, and the bytes taken out, turned back into text."""
    used = 0

    def taken(match):
        nonlocal used
        data = raw[used : used + int(match[2])]
        used += int(match[2])
        return base64.b64encode(data).decode() if match[1] == "\x01" else base64url(data)

    text = re.sub("([\x01\x02])([0-9]{1,8})\\1", taken, text)
    if used != len(raw):
        raise Unreadable("It holds other bytes than it names.")
    text = re.sub("\x03([^\x03\x04]*)\x04", lambda match: base64url(match[1].encode()), text)
    literals, units = string_literals(text), utf16_units(text)

    @functools.cache
    def digest(number):
        return digest_of(json.loads(literals[int(number)]))

    def computed(match):
        nonlocal units
        units += 43
        if units > MOST_UNITS:
            raise Unreadable("It is too large.")
        return digest(match[1])

    return re.sub("\x05([0-9]{1,8})\x05", computed, text)


def unpacked(data):
    """§2: a packed file, as the bytes of its text."""
    check, rest = data[2:10], data[10:]
    end = 4 + int.from_bytes(rest[:4], "big")
    if len(rest) < 4 or hashlib.sha256(rest).digest()[:8] != check:
        raise Unreadable("It is packed, but damaged.")
    if end > len(rest):
        raise Unreadable("It is packed, but cut off.")
    stream = zlib.decompressobj(-zlib.MAX_WBITS, zdict=WORDS.replace("\n", "").encode())
    text = inflated(rest[end:], stream, MOST_BYTES).decode("utf-8")
    if utf16_units(text) > MOST_UNITS:
        raise Unreadable("It is too large.")
    try:
        return expanded(text, rest[4:end]).encode("utf-8")
    except IndexError:
        raise Unreadable("It names a text that it does not hold.")


def read_file(data):
    try:
        data = unpacked(data) if data[:2] == b"\xa5\x01" else data
        gzipped = data[:2] == b"\x1f\x8b"
        data = inflated(data, zlib.decompressobj(16 + zlib.MAX_WBITS), MOST_BYTES) if gzipped else data
        text = data.decode("utf-8")
        text = statement_in(text) or text
        body = text[:-1] if text.endswith("\n") else text
        if utf16_units(body) > MOST_UNITS:
            raise Unreadable("It is too large.")
        value = read_json(body)
        format_name = value.get("format") if isinstance(value, dict) else None
        check = FORMATS.get(format_name) if isinstance(format_name, str) else None
        if check is None:
            raise Unreadable("It is of no known format.")
        if format_name in NAMED_FIRST and not text.startswith('{"format":"%s"' % format_name):
            raise Unreadable("Its format does not stand first.")
        if not check(value):
            raise Unreadable("It has not exactly the members of its format.")
        if write_json(value, as_written) != body:
            raise Unreadable("It is not written as such files are.")
        return value
    except (ValueError, RecursionError):
        raise Unreadable("It is not JSON.")


# --- §3 The log: keys, checkpoint, cosignatures, inclusion ---


def require(holds, reason):
    if not holds:
        raise Refuted(reason)


def sha256(data):
    return hashlib.sha256(data).digest()


def base64_bytes(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def base64url_bytes(text):
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if base64url(data) == text else None


def digest_of(text):
    return base64url(sha256(text.encode("utf-8")))


SPACE = "\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
KEY = re.compile(f"([^+{SPACE}]+)[+]([0-9a-f]{{8}})[+]([A-Za-z0-9+/=]+)")
SIGNATURE = re.compile(f"\u2014 ([^+{SPACE}]+) ([^{SPACE}]+)")
NOTE, COSIGNATURE, ML_DSA_44 = 1, 4, 6
KEY_BYTES = {NOTE: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
LOGS, COSIGNERS = (NOTE,), (COSIGNATURE, ML_DSA_44)


def verifier_key(text, types):
    match = KEY.fullmatch(text)
    data = base64_bytes(match[3]) if match else None
    good = data and data[0] in types and len(data) == 1 + KEY_BYTES[data[0]]
    require(good and sha256(match[1].encode() + b"\n" + data)[:4].hex() == match[2], "A verifier key is none.")
    return {"name": match[1], "id": bytes.fromhex(match[2]), "key": data[1:], "type": data[0]}


def opaque(text):
    data = text.encode()
    require(1 <= len(data) <= 255, "A name is too long to be signed.")
    return bytes([len(data)]) + data


def holds(key, text, signature):
    """Whether a signature line's bytes are a signature with this key over the text of a checkpoint."""
    message = text.encode()
    if key["type"] == NOTE:
        return ed25519_holds(key["key"], message, signature)
    time, bare = int.from_bytes(signature[:8], "big"), signature[8:]
    if len(signature) < 8 or time >= 2**53:
        return False
    if key["type"] == COSIGNATURE:
        return ed25519_holds(key["key"], b"cosignature/v1\ntime %d\n" % time + message, bare)
    origin, size, root = text.split("\n")[:3]
    head = b"subtree/v1\n\0" + opaque(key["name"]) + signature[:8] + opaque(origin)
    return mldsa44_holds(key["key"], head + bytes(8) + int(size).to_bytes(8, "big") + base64_bytes(root), bare)


def parse_note(note):
    text, found, rest = note.rpartition("\n\n")
    lines = rest.split("\n")
    plain = all(character >= " " or character == "\n" for character in note) and len(note.encode("utf-16-le")) <= 2_000_000
    require(found and plain and lines.pop() == "" and 1 <= len(lines) <= 32, "The checkpoint is malformed.")
    signatures = []
    for line in lines:
        match = SIGNATURE.fullmatch(line)
        data = base64_bytes(match[2]) if match else None
        require(data is not None and len(data) > 4, "The checkpoint is malformed.")
        signatures.append((match[1], data[:4], data[4:]))
    return text + "\n", signatures


def read_rotation(piece):
    note, entry = piece["rotation"], piece["entry"]
    text, signatures = parse_note(note)
    lines = text.split("\n")
    require(len(lines) == 6 and lines[0] == "assent-key-rotation-1" and lines[5] == "", "A replacement of the log's key is malformed.")
    old, new, root = verifier_key(lines[1], LOGS), verifier_key(lines[2], LOGS), base64_bytes(lines[4])
    require(old["name"] == new["name"] and old["id"] != new["id"], "A replacement is not of one log's key.")
    require(re.fullmatch("0|[1-9][0-9]*", lines[3]) is not None and float(lines[3]) < 2**53, "The size is none.")
    require(root is not None and len(root) == 32, "The root is none.")
    signers = [(name, key_id) for name, key_id, _ in signatures]
    require(signers == [(key["name"], key["id"]) for key in (old, new)], "A replacement is not signed by both keys.")
    held = all(ed25519_holds(key["key"], text.encode(), signature) for key, (_, _, signature) in zip((old, new), signatures))
    require(held, "A replacement is not signed by both keys.")
    entry = logged(entry, note, "LogKey/" + new["id"].hex())
    require(entry["kind"] == "log-key-rotated" and entry["index"] >= int(lines[3]), "The log entry is of something else.")
    return {"from": lines[1], "to": lines[2], "size": int(lines[3]), "entry": entry}


def succession(file):
    rotations = [read_rotation(piece) for piece in file.get("rotations", [])]
    for rotation, after in zip(rotations, rotations[1:] + [{"from": file["log"]}]):
        require(rotation["to"] == after["from"], "The replacements do not lead to the key that signed.")
        require("size" not in after or after["size"] > rotation["entry"]["index"], "The replacements are not in order.")
    return rotations


def pinned(trusted):
    return [each[len("anchor ") :].lower() for each in trusted if each.startswith("anchor ")]


def require_pinned(trusted, lines):
    places = list(lines)
    for pin in pinned(trusted):
        require(any(line.startswith(pin + " ") for line in places), "It is not anchored where that is demanded.")


def open_log(file, trusted):
    trusted = [each for each in trusted if not each.startswith("anchor ")]
    key = verifier_key(file["log"], LOGS)
    rotations = succession(file)
    known = [rotation["from"] for rotation in rotations] + [file["log"]]
    witnesses = file.get("witnesses", [])
    demanded = [each for each in trusted if verifier_key(each, LOGS + COSIGNERS)["type"] in COSIGNERS]
    require(not trusted or any(each in trusted for each in known), "The log is none of those trusted.")
    require(all(each in witnesses for each in demanded), "Those who cosigned are not all that are demanded.")
    keys = [key] + [verifier_key(text, COSIGNERS) for text in witnesses]
    text, signatures = parse_note(file["checkpoint"])
    lines = text.split("\n")
    require(len(lines) == 4 and lines[3] == "" and lines[0] == key["name"], "The checkpoint is malformed, or of another log.")
    require(re.fullmatch("0|[1-9][0-9]*", lines[1]) is not None and float(lines[1]) < 2**53, "The size is none.")
    size, root = int(lines[1]), base64_bytes(lines[2])
    require(root is not None and len(root) == 32, "The root is none.")
    signed = set()
    for name, key_id, signature in signatures:
        by = next((i for i, known in enumerate(keys) if (known["name"], known["id"]) == (name, key_id)), None)
        require(by is not None and by not in signed, "The checkpoint carries a signature of an unknown key, or one twice.")
        require(holds(keys[by], text, signature), "The checkpoint is forged.")
        signed.add(by)
    require(len(signed) == len(keys), "Who is named did not sign the checkpoint.")
    return size, root, [rotation["entry"] for rotation in rotations]


def tree_in(lines, origin):
    require(len(lines) >= 4 and lines[-1] == "" and lines[0] == origin, "A checkpoint is malformed, or of another log.")
    require(re.fullmatch("0|[1-9][0-9]*", lines[1]) is not None and float(lines[1]) < 2**53, "The size is none.")
    root = base64_bytes(lines[2])
    require(root is not None and len(root) == 32, "The root is none.")
    return int(lines[1]), root


def signed_text(note, keys):
    """The text of a note in which each signature is by another of these keys."""
    text, signatures = parse_note(note)
    signed = set()
    for name, key_id, signature in signatures:
        by = next((i for i, key in enumerate(keys) if (key["name"], key["id"]) == (name, key_id)), None)
        require(by is not None and by not in signed, "A checkpoint carries a signature of an unknown key, or one twice.")
        require(ed25519_holds(keys[by]["key"], text.encode(), signature), "A checkpoint is forged.")
        signed.add(by)
    return text


def hashes_in(texts):
    hashes = [base64_bytes(text) for text in texts]
    require(all(each is not None and len(each) == 32 for each in hashes), "A hash of a proof is none.")
    return hashes


def node(left, right):
    return sha256(b"\x01" + left + right)


def require_included(leaf, index, size, root, proof):
    """RFC 9162 2.1.3.2"""
    require(index < size, "There is no such entry.")
    at, last, value = index, size - 1, leaf
    for sibling in proof:
        require(last != 0, "An audit path is too long.")
        if at % 2 == 1 or at == last:
            value = node(sibling, value)
            while at % 2 == 0 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            value = node(value, sibling)
        at, last = at >> 1, last >> 1
    require(last == 0 and value == root, "An audit path does not lead to the root.")


def require_consistent(older, newer, proof):
    """RFC 9162 2.1.4.2"""
    (old_size, old_root), (size, root) = older, newer
    if old_size == size:
        return require(not proof and old_root == root, "The trees are not one.")
    require(old_size > 0, "An empty tree proves nothing.")
    at, last = old_size - 1, size - 1
    while at % 2 == 1:
        at, last = at >> 1, last >> 1
    path = ([old_root] if at == 0 else []) + proof
    require(path, "A consistency proof is too short.")
    old, new = path[0], path[0]
    for sibling in path[1:]:
        require(last != 0, "A consistency proof is too long.")
        if at % 2 == 1 or at == last:
            old, new = node(sibling, old), node(sibling, new)
            while at % 2 == 0 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            new = node(new, sibling)
        at, last = at >> 1, last >> 1
    require(last == 0 and old == old_root and new == root, "The trees are not one.")


COUNT = "(0|[1-9][0-9]{0,14})"
IN_CHAIN = re.compile(f"evm {COUNT} 0x[0-9a-f]{{40}} 0x[0-9a-f]{{64}} {COUNT} 0x[0-9a-f]{{64}} {COUNT}")


def require_place(line, anchor):
    digest = None
    if line is not None and line.startswith("rfc3161 "):
        digest = base64url_bytes(line[8:])
        require(digest is not None and len(digest) == 32, "A time-stamp is not named.")
    else:
        require(line is None or IN_CHAIN.fullmatch(line) is not None, "A place is unknown.")
    require((digest is None) == ("stamp" not in anchor), "A time-stamp is missing, or not named.")
    if digest is not None:
        stamp = base64_bytes(anchor["stamp"])
        require(stamp is not None and sha256(stamp) == digest, "The time-stamp is another one.")


def place_of_anchor(anchor):
    lines = (anchor["anchor"] if "anchor" in anchor else anchor["checkpoint"]).split("\n\n")[0].split("\n")
    return lines[3] if len(lines) > 3 else ""


def require_own_anchor(anchor, tree, keys, entries):
    text, signatures = parse_note(anchor["anchor"])
    require(len(signatures) == 1, "Where the log is anchored is signed more than once.")
    lines = signed_text(anchor["anchor"], keys).split("\n")
    require(len(lines) == 5 and lines[0] == "assent-anchor-1" and lines[4] == "", "Where the log is anchored is malformed.")
    require(re.fullmatch("[1-9][0-9]*", lines[1]) is not None and float(lines[1]) < 2**53, "The size is none.")
    root = base64_bytes(lines[2])
    require(root is not None and len(root) == 32, "The root is none.")
    require_place(lines[3], anchor)
    held = (int(lines[1]), root)
    require_consistent(*sorted((held, tree), key=lambda each: each[0]), hashes_in(anchor["consistency"]))
    require(all(entry["index"] < held[0] for entry in entries), "What is anchored is older than what is to be proven.")


def require_anchor(anchor, tree, keys, entries):
    if "anchor" in anchor:
        return require_own_anchor(anchor, tree, keys, entries)
    key = verifier_key(anchor["aggregate"], LOGS)
    lines = signed_text(anchor["checkpoint"], [key]).split("\n")
    require(len(lines) in (4, 5), "The aggregate's checkpoint is malformed.")
    size, root = tree_in(lines, key["name"])
    require_place(lines[3] if len(lines) == 5 else None, anchor)
    member = signed_text(anchor["member"], keys).split("\n")
    require(len(member) == 4, "What is in the aggregate is no checkpoint.")
    held = tree_in(member, keys[0]["name"])
    leaf = sha256(b"\x00" + anchor["member"].encode())
    require_included(leaf, int(anchor["index"]), size, root, hashes_in(anchor["inclusion"]))
    require_consistent(*sorted((held, tree), key=lambda each: each[0]), hashes_in(anchor["consistency"]))
    require(all(entry["index"] < held[0] for entry in entries), "What is in the aggregate is older than what is to be proven.")


def leaf_of(entry):
    salt = base64url_bytes(entry["salt"])
    require(salt is not None and len(salt) == 32, "A salt is not 32 bytes.")
    try:
        committed = sha256(write_json(entry, canonical).encode())
    except ValueError:
        raise Refuted("An entry cannot be written.")
    return sha256(b"\x00" + committed)


def require_inclusion(proof, size, root, entries, more=()):
    leaves = {int(entry["index"]): leaf_of(entry) for entry in entries}
    require(len(leaves) == len(entries), "Two pieces claim one place in the log.")
    for index, leaf in more:
        require(leaves.setdefault(index, leaf) == leaf, "Two pieces claim one place in the log.")
    require(all(index < size for index in leaves), "The log does not hold this.")
    hashes = [base64_bytes(text) for text in proof]
    require(all(each is not None and len(each) == 32 for each in hashes), "A hash of the proof is none.")

    def walk(within, begin, end):
        if not within:
            require(hashes, "The proof is too short.")
            return hashes.pop(0)
        if end - begin == 1:
            return leaves[begin]
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        left = walk([i for i in within if i < middle], begin, middle)
        return sha256(b"\x01" + left + walk([i for i in within if i >= middle], middle, end))

    require(walk(sorted(leaves), 0, size) == root and not hashes, "The proof does not lead to the signed root.")


# --- §4 The pieces ---


def parse_piece(text):
    try:
        value = read_json(text)
    except (ValueError, RecursionError):
        value = None
    require(isinstance(value, dict), "A piece is no JSON object.")
    return value


def inner(value, name):
    return value.get(name) if isinstance(value, dict) else None


def texts(value, *names):
    return all(isinstance(value.get(name), str) for name in names)


def reference_in(value):
    reference = inner(value, "reference")
    return reference if isinstance(reference, str) else None


def items(value):
    return value if isinstance(value, list) else []


def logged(entry, text, reference):
    require(entry["digest"] == digest_of(text), reference + " is not the one in the log.")
    return {**entry, "reference": reference}


ACTS = ("disclosure", "denial", "write", "break-glass")


def is_event(event):
    return event.get("resourceType") == "AuditEvent" and texts(event, "id", "recorded")


def in_role(event, code):
    roles = [each for each in items(event.get("entity")) if inner(inner(each, "role"), "code") == code]
    references = [reference_in(each.get("what")) for each in roles]
    return [reference for reference in references if reference is not None]


def read_event(piece):
    event = parse_piece(piece["event"])
    require(is_event(event), "The AuditEvent is none.")
    require(piece["entry"]["kind"] in ACTS, "The log entry is of something else.")
    return logged(piece["entry"], piece["event"], "AuditEvent/" + event["id"]), set(in_role(event, "13"))


def read_key(piece):
    key = parse_piece(piece["key"])
    registered = key.get("event") == "registered" and texts(key, "kid", "owner", "role") and isinstance(key.get("jwk"), dict)
    passkey = key.get("passkey")
    bound = "passkey" not in key or (isinstance(passkey, dict) and texts(passkey, "credentialId", "rpId"))
    require(registered and bound and piece["entry"]["kind"] == "key-registered", "A key’s registration is none.")
    return {**key, "entry": logged(piece["entry"], piece["key"], "Key/" + key["kid"])}


def statement_of(terms, consent):
    signed = {name: value for name, value in consent.items() if name != "meta"}
    meta = consent.get("meta")
    kept = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")} if isinstance(meta, dict) else {}
    if kept:
        signed["meta"] = kept
    try:
        return write_json({**terms, "consent": signed}, canonical)
    except ValueError:
        raise Refuted("The statement cannot be written.")


def holds_under(jwk, alg, message, signature):
    x, y = (base64url_bytes(jwk[name]) if isinstance(jwk.get(name), str) else None for name in ("x", "y"))
    kind = (jwk.get("kty"), jwk.get("crv"))
    if kind == ("EC", "P-256") and alg in ("ES256", None):
        return x is not None and y is not None and es256_holds(x, y, message, signature)
    return kind == ("OKP", "Ed25519") and alg in ("EdDSA", None) and x is not None and ed25519_holds(x, message, signature)


def object_in(data):
    try:
        value = read_json(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def der_integer(der, at):
    if at + 2 > len(der) or der[at] != 0x02:
        return None
    digits = der[at + 2 : at + 2 + der[at + 1]]
    short = len(digits) == der[at + 1] and len(digits) > 0 and digits[0] < 0x80
    if not short or (digits[0] == 0 and len(digits) > 1 and digits[1] < 0x80):
        return None
    number = digits[1:] if digits[0] == 0 else digits
    return (number.rjust(32, b"\0"), at + 2 + len(digits)) if len(number) <= 32 else None


def from_der(der):
    if len(der) > 72 or len(der) < 2 or der[0] != 0x30 or der[1] != len(der) - 2:
        return None
    r = der_integer(der, 2)
    s = r and der_integer(der, r[1])
    return r[0] + s[0] if s and s[1] == len(der) else None


ASSERTION = ("id", "authenticatorData", "clientDataJSON", "signature")


def passkey_of(text, statement, keys):
    value = object_in(text.encode("utf-8", "surrogatepass")) if len(text.encode("utf-16-le", "surrogatepass")) <= 32_768 else {}
    require(set(value) == set(ASSERTION) and texts(value, *ASSERTION) and value["id"] != "", "A signature is no assertion.")
    try:
        written = write_json({name: value[name] for name in ASSERTION}, as_written)
    except ValueError:
        written = None
    _, data, client, signature = (base64url_bytes(value[name]) for name in ASSERTION)
    spelled = written == text and base64url_bytes(value["id"]) is not None
    require(spelled and None not in (data, client, signature), "A signature is no assertion in its one spelling.")
    key = next((key for key in keys if inner(key.get("passkey"), "credentialId") == value["id"]), None)
    require(key is not None, "A signature is by a key whose registration is missing.")
    audience, host = object_in(statement.encode()).get("audience"), key["passkey"]["rpId"]
    page = re.match("(https?://([a-z0-9.-]+)(?::[0-9]+)?)/", audience + "/") if isinstance(audience, str) else None
    require(page is not None and page[2] == host, "A signature is for another server.")
    verified = len(data) >= 37 and data[32] & 5 == 5 and data[:32] == sha256(host.encode())
    said = object_in(client)
    own = said.get("type") == "webauthn.get" and said.get("origin") == page[1] and "topOrigin" not in said
    own = own and ("crossOrigin" not in said or said["crossOrigin"] is False)
    asked = said.get("challenge") == base64url(sha256(statement.encode()))
    if key["jwk"].get("kty") == "EC":
        signature = from_der(signature)
    signed = signature is not None and holds_under(key["jwk"], None, data + sha256(client), signature)
    require(verified and own and asked and signed, "A signature does not hold for these terms.")
    return key


def signer_of(jws, statement, keys):
    if jws.startswith("{"):
        return passkey_of(jws, statement, keys)
    parts = jws.split(".")
    require(len(parts) == 3 and parts[1] == "", "A signature is not a detached JWS.")
    header, signature = base64url_bytes(parts[0]), base64url_bytes(parts[2])
    require(header is not None and signature is not None, "A signature is not a detached JWS.")
    fields = parse_piece(header.decode("utf-8", "replace"))
    require(texts(fields, "kid", "alg") and "crit" not in fields and "b64" not in fields, "A signature is not a detached JWS.")
    key = next((key for key in keys if key["kid"] == fields["kid"]), None)
    require(key is not None and "passkey" not in key, "A signature is by a key whose registration is missing, or by a passkey.")
    message = (parts[0] + "." + base64url(statement.encode())).encode()
    require(holds_under(key["jwk"], fields["alg"], message, signature), "A signature does not hold for these terms.")
    return key


INSTANT = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")


def is_instant(value):
    return isinstance(value, str) and INSTANT.fullmatch(value) is not None


def read_authority(piece, keys):
    granted, entry = parse_piece(piece["authority"]), piece["entry"]
    require(granted.get("event") == "granted" and texts(granted, "id", "statement", "signature"), "An authority is none.")
    statement = granted["statement"]
    require(not any("\ud800" <= each <= "\udfff" for each in statement), "An authority is none.")
    terms = parse_piece(statement)
    known = terms.get("type") == "urn:assent:authority:1" and texts(terms, "patient", "delegate", "basis")
    require(known and is_instant(terms.get("from")) and is_instant(terms.get("until")), "An authority is none.")
    require(entry["kind"] == "authority-granted" and granted["id"] == digest_of(statement), "The log entry is of something else.")
    by = signer_of(granted["signature"], statement, keys)
    if terms["basis"] == "patient":
        require(by["role"] == "patient" and by["owner"] == terms["patient"], by["owner"] + " may not grant this.")
    else:
        require(by["role"] == "custodian", by["owner"] + " may not grant this.")
    require(by["entry"]["index"] < entry["index"], "A key was registered after the authority.")
    return {"id": granted["id"], "terms": terms, "by": by, "entry": logged(entry, piece["authority"], "Authority/" + granted["id"])}


def is_for(authority, patient, entry, signers, purposes):
    terms, at = authority["terms"], entry["occurredAt"]
    in_time = authority["entry"]["index"] < entry["index"] and is_instant(at) and terms["from"] <= at < terms["until"]
    limits = items(terms["purposes"]) if "purposes" in terms else None
    stated = limits is None or (len(items(purposes)) > 0 and all(isinstance(each, str) and each in limits for each in items(purposes)))
    named = any(key["role"] == "related-person" and key["owner"] == terms["delegate"] for key in signers)
    return named and terms["patient"] == patient and "sign" in items(terms.get("acts")) and in_time and stated


def read_consent(piece, keys, authorities):
    entry, terms, signatures = piece["entry"], piece["terms"], piece["signatures"]
    consent = parse_piece(piece["consent"])
    version = inner(consent.get("meta"), "versionId")
    is_one = consent.get("resourceType") == "Consent" and texts(consent, "id", "status") and isinstance(version, str)
    require(is_one, "A Consent is none.")
    require(entry["kind"].startswith("consent-"), "A Consent’s log entry is of something else.")
    name = "Consent/" + consent["id"]
    read = {"entry": logged(entry, piece["consent"], name), "version": name + "/_history/" + version, "status": consent["status"]}
    if terms is None:
        require(entry["kind"] != "consent-active" and not signatures, "A Consent comes without the terms that were signed.")
        return {**read, "signers": [], "under": []}
    require(terms.get("type") == "urn:assent:consent-statement:1" and "consent" not in terms, "The terms are none.")
    statement = statement_of(terms, consent)
    require(entry.get("statement") == digest_of(statement), "The terms are not those in the log.")
    require(set(entry.get("signatures", [])) <= set(map(digest_of, signatures)), "A signature is missing.")
    signers = [signer_of(jws, statement, keys) for jws in signatures]
    patient = reference_in(consent.get("patient")) or ""
    custodians = {reference_in(each) for each in items(consent.get("organization"))}
    under = [each for each in authorities if is_for(each, patient, entry, signers, terms.get("purposes"))]
    for key in signers:
        if key["role"] == "patient":
            may = key["owner"] == patient
        elif key["role"] == "related-person":
            may = any(each["terms"]["delegate"] == key["owner"] for each in under)
        else:
            may = key["role"] == "custodian" and key["owner"] in custodians
        require(may, key["owner"] + " may not sign.")
        require(key["entry"]["index"] < entry["index"], "A key was registered after the Consent.")
    require(any(key["role"] in ("patient", "related-person") for key in signers), "No signature of the patient.")
    return {**read, "signers": signers, "under": under}


def bit_of(key, depth):
    return key[depth // 8] >> (7 - depth % 8) & 1


def looked_up(proof, root, key):
    """§5: what the map of this root holds under the key, or None for nothing."""
    shown = "A proof of the map is none."
    require(proof is not None and len(proof) >= 3 and proof[0] <= 2, shown)
    steps = proof[1] + 256 * proof[2]
    begin = 3 + (steps + 7) // 8
    require(steps <= 256 and len(proof) >= begin, shown)
    bits = [bit_of(proof[3:begin], i) for i in range(steps)]
    spare = range(steps, 8 * (begin - 3))
    require(not any(bit_of(proof[3:begin], i) for i in spare) and len(proof) == begin + 32 * (sum(bits) + proof[0]), shown)
    parts = [proof[at : at + 32] for at in range(begin, len(proof), 32)]
    empty = bytes(32)
    siblings = [parts.pop(0) if bit else empty for bit in bits]
    require(all(sibling != empty for sibling, bit in zip(siblings, bits) if bit), shown)
    standing = parts[0] if proof[0] == 2 else key
    if proof[0] == 2:
        require(standing != key and all(bit_of(standing, i) == bit_of(key, i) for i in range(steps)), shown)
    current = empty if proof[0] == 0 else sha256(b"\x02" + standing + parts[-1])
    for depth in reversed(range(steps)):
        pair = (current, siblings[depth]) if bit_of(key, depth) == 0 else (siblings[depth], current)
        current = sha256(b"\x03" + pair[0] + pair[1])
    require(current == root, "A proof of the map does not lead to its root.")
    return parts[0] if proof[0] == 1 else None


def read_current(current, consents, event):
    """The root's entry, and the leaves of what took the place of Consents, each with its index."""
    up_to, entry = current["upTo"], {**current["entry"], "reference": "Map/consents"}
    is_root = entry["kind"] == "map-root" and entry["subject"] is None and entry.get("version") == number_text(up_to)
    require(is_root and up_to <= entry["index"], "The root of the map is of something else.")
    text = write_json({"upTo": up_to, "root": current["root"]}, list)
    require(entry["digest"] == digest_of(text), "The root of the map is not the one in the log.")
    require(consents and len(consents) == len(current["proofs"]), "The map does not speak of every Consent.")
    replaced = []
    for consent, shown in zip(consents, current["proofs"]):
        require(consent["entry"]["index"] < up_to, "The map is older than a Consent.")
        value = looked_up(base64_bytes(shown["proof"]), base64_bytes(current["root"]), leaf_of(consent["entry"]))
        require((value is not None) == ("next" in shown), "What took the place of a Consent is told otherwise.")
        if value is not None:
            require(consent["entry"]["index"] < shown["next"] < up_to, "What took the place of a Consent cannot stand there.")
            require(not event or shown["next"] > event["index"], "A Consent had been replaced before what rests on it.")
            replaced.append((int(shown["next"]), value))
    return entry, replaced


def verify_receipt(file, trusted):
    event, basis = read_event(file["event"]) if file["event"] else (None, set())
    keys = [read_key(piece) for piece in file["keys"]]
    authorities = [read_authority(piece, keys) for piece in file.get("authorities", [])]
    consents = [read_consent(piece, keys, authorities) for piece in file["consents"]]
    require(event or consents, "It is about nothing.")
    require(len({key["kid"] for key in keys}) == len(keys), "It holds a key twice.")
    credentials = [key["passkey"]["credentialId"] for key in keys if "passkey" in key]
    require(len(set(credentials)) == len(credentials), "Two keys in it claim one passkey.")
    require(len({each["id"] for each in authorities}) == len(authorities), "It holds an authority twice.")
    used = [id(each) for consent in consents for each in consent["under"]]
    require(all(id(each) in used for each in authorities), "It holds an authority under which nothing was signed.")
    signers = [id(key) for consent in consents for key in consent["signers"]] + [id(each["by"]) for each in authorities]
    require(all(id(key) in signers for key in keys), "It holds a key that signed nothing in it.")
    if event:
        require(basis == {consent["version"] for consent in consents}, "The Consents are not the basis of the AuditEvent.")
        for consent in consents:
            require(consent["entry"]["kind"] == "consent-active" and consent["status"] == "active", "A Consent was not active.")
            require(consent["entry"]["index"] < event["index"], "A Consent was logged after what rests on it.")
    size, root, rotated = open_log(file, trusted)
    pieces = ([event] if event else []) + [each["entry"] for each in keys + authorities + consents]
    root_entry, replaced = read_current(file["current"], consents, event) if "current" in file else (None, [])
    for anchor in file.get("anchors", []):
        known = [verifier_key(text, LOGS) for text in [read_rotation(each)["from"] for each in file.get("rotations", [])] + [file["log"]]]
        require_anchor(anchor, (size, root), known, pieces)
    require_pinned(trusted, map(place_of_anchor, file.get("anchors", [])))
    require_inclusion(file["proof"], size, root, pieces + ([root_entry] if root_entry else []) + rotated, replaced)
    return "proven"


def verify_erasure(file, trusted):
    require_pinned(trusted, [])
    entry = file["entry"]
    require(entry["kind"] == "erasure", "The log entry is of something else.")
    require(entry["digest"] == digest_of(write_json(entry["erases"], canonical)), "It names other entries than the log.")
    require(all(index < entry["index"] for index in entry["erases"]), "It names an entry that was logged after it.")
    size, root, rotated = open_log(file, trusted)
    require_inclusion(file["proof"], size, root, [{**entry, "reference": file["reference"]}] + rotated)
    return "erased"


def place_of(link):
    return link["entry"] if "entry" in link else link["erased"]


def opened(link, patient):
    entry, reference = link["entry"], link["reference"]
    is_act = entry["kind"] in ACTS
    require(is_act == reference.startswith("AuditEvent/"), "An entry is of something else.")
    if link["event"] is not None:
        event = parse_piece(link["event"])
        require(is_event(event) and "AuditEvent/" + event["id"] == reference, "An AuditEvent is none.")
        require((in_role(event, "1") + [None])[0] == patient, "An AuditEvent is about somebody else.")
        logged(entry, link["event"], reference)
    return {**entry, "reference": reference}


def verify_disclosures(file, trusted):
    require_pinned(trusted, [])
    links = file["links"]
    entries = [opened(link, file["patient"]) for link in links if "entry" in link]
    require(len({entry["subject"] for entry in entries} | {None}) <= 2, "The entries are not all about one subject.")
    require(all(entry["subject"] is not None for entry in entries), "An entry is about nobody.")
    places = [place_of(link) for link in links]
    for place in places:
        require(place["subjectSeq"] >= 1 and (place["previous"] is None) == (place["subjectSeq"] == 1), "An entry has no place.")
    for place, before in zip(places, places[1:]):
        follows = before["index"] == place["previous"] and before["subjectSeq"] == place["subjectSeq"] - 1
        require(follows, "An entry was left out.")
    size, root, rotated = open_log(file, trusted)
    if entries or rotated:
        require_inclusion(file["proof"], size, root, entries + rotated)
    else:
        require(not file["proof"], "It proves entries that it does not hold.")
    return "proven"


VERIFIERS = {"assent-receipt-1": verify_receipt, "assent-erasure-1": verify_erasure, "assent-disclosures-1": verify_disclosures}


def verify(data, trusted=()):
    """The verdict and a reason: ('proven' | 'erased' | 'refuted' | 'unreadable', text)."""
    try:
        file = read_file(data)
        return VERIFIERS[file["format"]](file, trusted), ""
    except Unreadable as error:
        return "unreadable", str(error)
    except Refuted as error:
        return "refuted", str(error)


def main(args):
    if args == ["--lines"]:
        for line in sys.stdin:
            file, *trusted = line.rstrip("\n").split("\t")
            print(verify(base64.b64decode(file), trusted)[0])
        return 0
    trusted = [key for flag, key in zip(args, args[1:]) if flag == "--trust"]
    files = [each for each in args if each != "--trust" and each not in trusted]
    worst, codes = "proven", ["refuted", "unreadable", "erased", "proven"]
    for name in files:
        with open(name, "rb") as file:
            verdict, reason = verify(file.read(), trusted)
        print(f"{name}: {verdict.upper()}. {reason}".rstrip())
        worst = min(worst, verdict, key=codes.index)
    return {"proven": 0, "refuted": 1, "unreadable": 2, "erased": 3}[worst] if files else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
