"""AWS Signature Version 4, as a service that verifies it needs it: one function for each stage.

A request is read (`read`), written in its canonical form (`canonical_request`), put into the
string to sign (`string_to_sign`) and signed with a key derived from the secret (`signing_key`,
`sign`). Whoever gets the same signature as the request brought along knows that its sender has the
secret, and that nothing that was signed has changed on the way.

Rules: the IAM user guide's "Create a signed AWS API request", and what Lambda's endpoint was seen
to do. Two of them are often missed:

* The path is percent-encoded once more than it is on the wire (``%3A`` becomes ``%253A``), for
  every service but S3. So the bytes of the request line are needed, not the decoded path.
* The query's escapes are taken as they are on the wire.

Texts of refusals are those that AWS's services were seen to send. Pure: values in, values out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from .errors import (
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SERVICE = "lambda"

#: ``x-amz-content-sha256`` of a sender that did not hash its body.
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

#: The longest life of a presigned URL, in seconds: seven days.
MAX_EXPIRES_S = 604_800

# What a stranger may send to be looked at: clients have a dozen headers, half a dozen of them
# signed, and nothing longer than a session token of some thousand characters.
MAX_HEADERS = 200
MAX_SIGNED_HEADERS = 100
#: Characters of all signed headers together.
MAX_SIGNED_LENGTH = 64 * 1024
MAX_QUERY_LENGTH = 16 * 1024
MAX_QUERY_PARAMETERS = 100
#: Characters of the header, and of what stands in its place in a presigned URL.
MAX_AUTHORIZATION_LENGTH = 4096

#: Headers that change what a request means: where they are sent, they must be signed. Not every
#: ``x-amz-*`` header: content delivery networks add some of their own on the way. A session token
#: may have been added after signing (an old style of SDKs); it is compared in full anyway.
MUST_BE_SIGNED = (
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-invocation-type",
    "x-amz-client-context",
    "x-amz-log-type",
    "x-amz-tenant-id",
    "x-amz-durable-execution-name",
)

#: What a wrong signature is told, whatever is wrong with it.
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)

_BASIC_FORMAT_LENGTH = len("YYYYMMDDTHHMMSSZ")
_BASIC_FORMAT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_HEADER_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_QUOTED_SLASH = re.compile(rb"%2[Ff]")
_ESCAPED = re.compile(r"[A-Za-z0-9_.~%-]*")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?")

#: What clients send again and again is taken apart once: so many texts of each kind are kept, and
#: the least used ones dropped. Strangers can do no more than to have them dropped: what they send
#: is kept only up to the lengths above.
_MAX_KEPT = 256

_IN_QUERY = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-Date",
)


class Claim(NamedTuple):
    """Whose signature it is and what it covers: the same for all of a client's calls of a day."""

    access_key_id: str
    #: The credential scope: ``YYYYMMDD``, region, service, terminator.
    date: str
    region: str
    service: str
    terminator: str
    #: The credential scope as it is signed, ``/`` between its parts.
    scope: str
    #: The names of the signed headers, ``;`` between them.
    signed_headers: str
    #: Each of these names with its key in an environ.
    header_keys: tuple[tuple[str, str], ...]
    #: Keys of headers that must not be there, as they would have to be signed and are not.
    unsigned_keys: tuple[str, ...]


class Signature(NamedTuple):
    """What a request says about its signature, well-formed and not verified."""

    claim: Claim
    #: 64 hexadecimal digits, if it is any good.
    value: str
    #: When it was made, as it was signed: ``YYYYMMDDTHHMMSSZ``.
    amz_date: str
    #: The same moment in seconds since the epoch.
    signed_at: float
    session_token: str | None
    #: Seconds that a presigned URL is good for; ``None`` for a signature in a header.
    expires_s: float | None


# --- reading ----------------------------------------------------------------------------------


def read(environ: Mapping[str, Any]) -> Signature:
    """The signature in the ``Authorization`` header of a request, or in its query.

    Args:
        environ: the request, with CGI's names for headers (PEP 3333).

    Raises:
        MissingAuthenticationTokenException: there is none.
        IncompleteSignatureException: something is missing or malformed.
        InvalidSignatureException: there are two.
    """
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    query = environ.get("QUERY_STRING") or ""
    if query and (len(query) > MAX_QUERY_LENGTH or query.count("&") >= MAX_QUERY_PARAMETERS):
        raise IncompleteSignatureException("The query string is too long.")
    if len(environ) > MAX_HEADERS and _header_count(environ) > MAX_HEADERS:
        raise IncompleteSignatureException("The request has too many headers.")
    is_presigned = "X-Amz-Algorithm" in query or "X-Amz-Signature" in query
    if authorization and is_presigned:
        raise InvalidSignatureException(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP "
            "header."
        )
    if authorization:
        return _read_header(authorization, environ)
    if is_presigned:
        return _read_query(query)
    raise MissingAuthenticationTokenException("Missing Authentication Token")


def _header_count(environ: Iterable[str]) -> int:
    return sum(key.startswith("HTTP_") for key in environ)


def _read_header(authorization: str, environ: Mapping[str, Any]) -> Signature:
    if len(authorization) > MAX_AUTHORIZATION_LENGTH:
        raise IncompleteSignatureException("The Authorization header is too long.")
    before, _, after = authorization.partition("Signature=")
    value, _, after = after.partition(",")
    value = value.strip()
    given = _parameters(before + after)
    if given is None:
        raise IncompleteSignatureException(
            "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with "
            f"SHA-256 and encoded with Base64): '{_hashed(authorization)}'."
        )
    credential, signed_headers = given.get("Credential"), given.get("SignedHeaders")
    date = environ.get("HTTP_X_AMZ_DATE") or _in_basic_format(environ.get("HTTP_DATE"))
    if not (credential and value and signed_headers and date):
        wanted = {"Credential": credential, "Signature": value, "SignedHeaders": signed_headers}
        missing = [
            f"Authorization header requires '{name}' parameter. "
            for name, text in wanted.items()
            if not text
        ]
        if not date:
            missing.append(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' "
                "header. "
            )
        raise IncompleteSignatureException(
            f"{''.join(missing)}(Hashed with SHA-256 and encoded with Base64) "
            f"Authorization={_hashed(authorization)}"
        )
    return _signature(
        (given[""], credential, signed_headers),
        value=value,
        amz_date=date,
        session_token=environ.get("HTTP_X_AMZ_SECURITY_TOKEN"),
        expires_s=None,
    )


def _read_query(query: str) -> Signature:
    given: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if not name.startswith("X-Amz-"):
            continue
        if name in given:
            raise IncompleteSignatureException(f"The query has '{name}' twice.")
        given[name] = unquote(value, "latin-1")
    missing = [
        f"AWS query-string parameters must include '{name}'."
        for name in _IN_QUERY
        if not given.get(name)
    ]
    if missing:
        raise IncompleteSignatureException(
            f"{' '.join(missing)} Re-examine the query-string parameters."
        )
    credential, signed_headers = given["X-Amz-Credential"], given["X-Amz-SignedHeaders"]
    if len(credential) + len(signed_headers) > MAX_AUTHORIZATION_LENGTH:
        raise IncompleteSignatureException("The Credential or the SignedHeaders are too long.")
    expires = given.get("X-Amz-Expires", "")
    is_number = expires.isascii() and expires.isdigit() and len(expires) <= 6
    if not (is_number and 1 <= int(expires) <= MAX_EXPIRES_S):
        raise IncompleteSignatureException(
            f"X-Amz-Expires must be a number of seconds between 1 and {MAX_EXPIRES_S}."
        )
    return _signature(
        (given["X-Amz-Algorithm"], credential, signed_headers),
        value=given["X-Amz-Signature"],
        amz_date=given["X-Amz-Date"],
        session_token=given.get("X-Amz-Security-Token"),
        expires_s=int(expires),
    )


@lru_cache(maxsize=_MAX_KEPT)
def _parameters(text: str) -> Mapping[str, str] | None:
    """The parameters of an ``Authorization`` header, the algorithm under ``""``.

    ``None`` when one of them is no pair, or is there twice.
    """
    algorithm, _, rest = text.strip().partition(" ")
    given = {"": algorithm}
    for pair in rest.replace(",", " ").split():
        name, equals, value = pair.partition("=")
        if not equals or name in given or name == "Signature":
            return None
        given[name] = value
    return given


def _signature(
    claim: tuple[str, str, str],
    *,
    value: str,
    amz_date: str,
    session_token: str | None,
    expires_s: int | None,
) -> Signature:
    """A `Signature` of what was found: the algorithm, the credential and the signed headers."""
    signed_at = moment(amz_date) if len(amz_date) == _BASIC_FORMAT_LENGTH else None
    if signed_at is None:
        raise IncompleteSignatureException(
            f"Date must be in ISO-8601 'basic format'. Got '{amz_date}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601"
        )
    return Signature(_claim(*claim), value, amz_date, signed_at, session_token, expires_s)


@lru_cache(maxsize=_MAX_KEPT)
def _claim(algorithm: str, credential: str, signed_headers: str) -> Claim:
    if algorithm != ALGORITHM:
        raise IncompleteSignatureException(
            f"Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). "
        )
    access_key_id, _, scope = credential.partition("/")
    parts = scope.split("/")
    if len(parts) != 4 or not access_key_id:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{credential}'"
        )
    names = signed_headers.split(";")
    if _HEADER_NAMES.fullmatch(signed_headers) is None or len(names) > MAX_SIGNED_HEADERS:
        raise IncompleteSignatureException(
            "SignedHeaders must be lower-case names of headers, with ';' between them."
        )
    date, region, service, terminator = parts
    header_keys = tuple((name, _environ_key(name)) for name in names)
    return Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        scope=scope,
        signed_headers=signed_headers,
        header_keys=header_keys,
        unsigned_keys=tuple(header[1] for header in _MUST_BE_SIGNED if header not in header_keys),
    )


def _environ_key(name: str) -> str:
    """Where an environ has a header (PEP 3333)."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _hashed(authorization: str) -> str:
    """A header that may hold a secret, so that its sender can tell it and nobody else."""
    digest = hashlib.sha256(_octets(authorization)).digest()
    return base64.b64encode(digest).decode()


# --- time -------------------------------------------------------------------------------------


@lru_cache(maxsize=_MAX_KEPT)
def moment(amz_date: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 basic format date; ``None`` when it is none.

    >>> moment("20150830T123600Z"), moment("20150230T123600Z")
    (1440938160.0, None)
    """
    import datetime  # once needed; it takes longer to import than this package

    match = _BASIC_FORMAT.fullmatch(amz_date)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        when = datetime.datetime(
            year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc
        )
    except ValueError:
        return None
    return when.timestamp()


def basic_format(at: float) -> str:
    """A moment as Signature Version 4 writes it.

    >>> basic_format(1440938160.9)
    '20150830T123600Z'
    """
    import datetime

    when = datetime.datetime.fromtimestamp(int(at), datetime.timezone.utc)
    return f"{when.year:04}{when:%m%dT%H%M%S}Z"


def _in_basic_format(date: str | None) -> str | None:
    """The value of a ``Date`` header, which may also have HTTP's own form."""
    if not date or _BASIC_FORMAT.fullmatch(date) is not None:
        return date
    import datetime
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(date)
        if when.tzinfo is None:  # HTTP's dates are of Greenwich, whether they say so or not
            when = when.replace(tzinfo=datetime.timezone.utc)
        return basic_format(when.timestamp())
    except (TypeError, ValueError, OverflowError):
        return date  # which is refused as it came


def time_fault(signature: Signature, now: float, skew_s: float) -> str | None:
    """What is wrong with the time of a signature, in AWS's words; ``None`` when nothing is."""
    signed_at, life_s = signature.signed_at, skew_s
    if signature.expires_s is not None:
        life_s = signature.expires_s
    if signed_at < now - life_s:
        return (
            f"Signature expired: {signature.amz_date} is now earlier than "
            f"{basic_format(now - life_s)} ({basic_format(now)} - {life_s / 60:g} min.)"
        )
    if signed_at > now + skew_s:
        return (
            f"Signature not yet current: {signature.amz_date} is still later than "
            f"{basic_format(now + skew_s)} ({basic_format(now)} + {skew_s / 60:g} min.)"
        )
    return None


def scope_fault(signature: Signature, region: str) -> str | None:
    """What is wrong with the credential scope, in AWS's words; ``None`` when nothing is."""
    claim, day = signature.claim, signature.amz_date[:8]
    faults = ""
    if claim.region != region:
        faults += "Credential should be scoped to a valid region. "
    if claim.service != SERVICE:
        faults += f"Credential should be scoped to correct service: '{SERVICE}'. "
    if claim.terminator != TERMINATOR:
        faults += f"Credential should be scoped with a valid terminator: '{TERMINATOR}'. "
    if claim.date != day:
        faults += (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{claim.date}' != '{day}', from '{signature.amz_date}'."
        )
    return faults or None


def unsigned_header(claim: Claim, environ: Mapping[str, Any]) -> str | None:
    """A header that should have been signed and was not; ``None`` when there is none."""
    if _HOST not in claim.header_keys:
        return "host"
    if environ.keys().isdisjoint(claim.unsigned_keys):  # as it is with nearly all
        return None
    return next(
        name for name, key in _MUST_BE_SIGNED if key in claim.unsigned_keys and key in environ
    )


_HOST = ("host", "HTTP_HOST")
_MUST_BE_SIGNED = tuple((name, _environ_key(name)) for name in MUST_BE_SIGNED)


# --- the canonical request --------------------------------------------------------------------


def paths_on_the_wire(environ: Mapping[str, Any], *, rebuild: bool = False) -> Iterable[str]:
    """The path as it may have stood in the request line, the likeliest first.

    Servers that keep it have it in ``RAW_URI`` or ``REQUEST_URI``. It is believed only when it
    means the same as ``SCRIPT_NAME`` and ``PATH_INFO``, which say what is invoked. On other
    servers it is rebuilt as SDKs encode it, and as clients do that leave ``:`` and ``$`` alone.
    All of them name the same function, so trying them weakens nothing.

    Args:
        environ: the request.
        rebuild: also where the server kept the path: a proxy may have decoded it.
    """
    path: str = (environ.get("SCRIPT_NAME") or "") + (environ.get("PATH_INFO") or "")
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    kept = [] if raw is None else [_path_of(raw)]
    if kept and not _means(kept[0], path):
        kept = []
    if kept and not rebuild:
        return kept
    octets = _octets(path)
    return dict.fromkeys((*kept, quote(octets), quote(octets, "/:"), quote(octets, "/:$")))


def _path_of(uri: str) -> str:
    """The path of a request target, which may also be a whole URL."""
    path = uri.partition("?")[0]
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


def _means(raw: str, path: str) -> bool:
    """Whether a path on the wire is the decoded ``path``. Some servers leave ``%2F`` in it."""
    if raw == path:
        return True
    octets, wanted = _octets(raw), _octets(path)
    if unquote_to_bytes(octets) == wanted:
        return True
    kept = b"%2F".join(unquote_to_bytes(part) for part in _QUOTED_SLASH.split(octets))
    return kept == _QUOTED_SLASH.sub(b"%2F", wanted)


def canonical_path(path: str) -> str:
    """The path of a canonical request, from the one on the wire.

    >>> canonical_path("/functions/f%3Alive"), canonical_path("//a/./b/../"), canonical_path("")
    ('/functions/f%253Alive', '/a/', '/')
    """
    if _PLAIN_PATH.fullmatch(path) is not None:
        return path  # as it is with nearly all
    if "//" in path or "/." in path or not path:
        kept: list[str] = []
        for segment in path.split("/"):
            if segment == "..":
                del kept[-1:]
            elif segment not in ("", "."):
                kept.append(segment)
        path = "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
    return quote(_octets(path))


def canonical_query(query: str) -> str:
    """The query of a canonical request: sorted, without the signature of a presigned URL.

    Escapes stay as they came, everything else that is not unreserved is escaped.

    >>> canonical_query("b=%24LATEST&a&X-Amz-Signature=00")
    'a=&b=%24LATEST'
    """
    if not query:
        return ""
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name != "X-Amz-Signature":
            pairs.append((_escaped(name), _escaped(value)))
    pairs.sort()
    return "&".join(f"{name}={value}" for name, value in pairs)


def _escaped(text: str) -> str:
    if _ESCAPED.fullmatch(text) is not None:
        return text
    return quote(_octets(text.replace("+", " ")), "%")


def canonical_headers(
    header_keys: Iterable[tuple[str, str]], environ: Mapping[str, Any], host: str | None = None
) -> str:
    """The signed headers of a canonical request, a line for each.

    Args:
        header_keys: their names, lower case, with their keys in ``environ``.
        environ: the request. Servers join the values of repeated headers with commas.
        host: what the client called this service, where a proxy has changed ``Host``.

    Raises:
        IncompleteSignatureException: they are longer than `MAX_SIGNED_LENGTH` together.
    """
    lines = ""
    for name, key in header_keys:
        value: str = host if host and name == "host" else environ.get(key) or ""
        if len(lines) + len(value) > MAX_SIGNED_LENGTH:
            raise IncompleteSignatureException("The signed headers are too long.")
        if " " in value or not value.isprintable():
            value = b" ".join(_octets(value).split()).decode("latin-1")
        lines += f"{name}:{value}\n"
    return lines


def canonical_request(
    method: str, path: str, query: str, headers: str, signed_headers: str, payload_hash: str
) -> str:
    """The canonical request, of parts that are canonical already, in their order."""
    return f"{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{payload_hash}"


# --- signing ----------------------------------------------------------------------------------


def string_to_sign(amz_date: str, scope: str, canonical: str) -> str:
    """The string to sign of a canonical request (characters are bytes: latin-1)."""
    digest = hashlib.sha256(_octets(canonical)).hexdigest()
    return f"{ALGORITHM}\n{amz_date}\n{scope}\n{digest}"


def signing_key(
    secret_access_key: str, date: str, region: str, service: str = SERVICE
) -> hmac.HMAC:
    """The key that signs a day's requests to a service in a region: a chain of four HMACs.

    It is an HMAC that has seen nothing yet, which is what `sign` goes on from.
    """
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, _octets(part), "sha256")
    return hmac.new(key, digestmod="sha256")


def sign(key: hmac.HMAC, text: str) -> str:
    """The signature of a string to sign."""
    state = key.copy()
    state.update(_octets(text))
    return state.hexdigest()


def is_same(signature: str, expected: str) -> bool:
    """Whether two signatures are equal, in a time that does not tell where they differ."""
    return signature.isascii() and hmac.compare_digest(signature, expected)


def _octets(text: str) -> bytes:
    """The bytes behind an environ's text (PEP 3333); what is none of them stays different."""
    return text.encode("latin-1", "xmlcharrefreplace")
