"""Callers who sign their requests as AWS's clients do: Signature Version 4.

What is checked, in Lambda's order: the signature is there and well-formed, the key is known and
its session token the right one, the time is now, the credential scope is this service's, the
headers that matter are signed, the signature is that of the request, the body is the signed one.

A wrong signature takes the same work whether the key is known or not, and however much of it is
right: one derivation of a key and one signature for each way in which the path may have been
written. A body is read only when everything that the headers tell is right.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import admission, sigv4
from ..clock import Clock
from ..config import Settings
from ..errors import (
    AuthenticationError,
    ConfigurationError,
    ExpiredTokenException,
    InvalidSignatureException,
    UnrecognizedClientException,
)
from ..policy import Principal
from ..sigv4 import Claim, Signature
from ..wire import Request
from . import EXPIRED, UNKNOWN
from .credentials import Credential, Credentials, from_environment, lookup
from .replays import Full, make_replays

UNSIGNED_PAYLOAD = ("never", "tls", "always")

#: Derived keys that are kept: one for each access key and day. More than that are derived anew.
_MAX_KEPT_KEYS = 1024

_MAX_PUBLIC_HOSTS = 8
_HASH_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_HEX_DIGITS = frozenset("0123456789abcdef")


class SigV4:
    """Verifies Signature Version 4, in the header and in presigned URLs, for service ``lambda``.

    Threads share it; forked processes each keep derived keys of their own.

    Args:
        credentials: the access keys: a mapping of ids to secrets or to `Credential`, the path of
            an AWS-style credentials file, which is read again when it changes, or a callable that
            takes an id and returns a `Credential` or ``None``.
        clock_skew_s: how far a client's clock may be off, and so how long a signature is good for.
            Lambda's five minutes.
        unsigned_payload: whether a body may come with ``UNSIGNED-PAYLOAD`` for its hash, as the
            JavaScript SDK sends streams: ``"tls"`` (the default: where ``wsgi.url_scheme`` is
            ``https``, so that nobody on the way can change it), ``"always"`` or ``"never"``.
        public_hosts: what clients call this service, such as ``lambda.example.com`` or
            ``localhost:8443``, where a proxy replaces the ``Host`` header. At most eight.
        public_prefix: what a proxy takes away from the beginning of the path, such as ``/lambda``.
        proxy_decodes_path: a proxy sends the path on decoded and encoded again (nginx's
            ``proxy_pass`` with a path): also try it as clients encode it.
        replays: where used signatures are remembered, so that none is good twice: ``"memory"`` (of
            each process) or ``"sqlite:///replays.db"`` (for all processes of a machine). Presigned
            URLs are then good for ``clock_skew_s`` at most. ``None``, the default, remembers none,
            as AWS does.
        max_replays: most signatures to remember; beyond, callers get 429 until some are too old.

    Raises:
        ConfigurationError: a value is not allowed, or the keys cannot be used.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        clock_skew_s: float = 300,
        unsigned_payload: str = "tls",
        public_hosts: Sequence[str] = (),
        public_prefix: str = "",
        proxy_decodes_path: bool = False,
        replays: str | None = None,
        max_replays: int = 100_000,
    ) -> None:
        self._lookup = lookup(credentials)
        _check("clock_skew_s", clock_skew_s, _is_seconds(clock_skew_s), "1 to 3600 seconds")
        _check(
            "unsigned_payload",
            unsigned_payload,
            unsigned_payload in UNSIGNED_PAYLOAD,
            " or ".join(map(repr, UNSIGNED_PAYLOAD)),
        )
        _check(
            "public_hosts",
            public_hosts,
            _are_hosts(public_hosts),
            f"at most {_MAX_PUBLIC_HOSTS} host names, with their ports where clients send them",
        )
        _check(
            "public_prefix",
            public_prefix,
            public_prefix == "" or _is_prefix(public_prefix),
            "a path such as '/lambda', without a slash at its end",
        )
        _check(
            "proxy_decodes_path",
            proxy_decodes_path,
            isinstance(proxy_decodes_path, bool),
            "True or False",
        )
        _check(
            "max_replays",
            max_replays,
            type(max_replays) is int and max_replays > 0,
            "a whole number, 1 or more",
        )
        self._clock_skew_s = clock_skew_s
        self._unsigned_payload = unsigned_payload
        self._hosts: tuple[str | None, ...] = (None, *public_hosts)
        self._public_prefix = public_prefix
        self._proxy_decodes_path = proxy_decodes_path
        self._replays = make_replays(replays, max_replays)
        self._region = ""
        #: What signs for keys that are not known, so that nothing matches.
        self._nobody = Credential(os.urandom(32).hex(), "nobody")
        #: Derived keys by secret and day.
        self._keys: dict[tuple[str, str], hmac.HMAC] = {}

    @classmethod
    def from_environment(cls, **options: Any) -> SigV4:
        """For the one key of ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``."""
        return cls(from_environment(), **options)

    def __repr__(self) -> str:
        return "<SigV4>"

    def start(self, settings: Settings, clock: Clock) -> None:
        """See `auth.Authenticator.start`.

        Raises:
            ConfigurationError: it was started with another region.
        """
        if self._region not in ("", settings.region):
            raise ConfigurationError(
                f"auth={self!r}: it verifies for region {self._region!r} already, and cannot for "
                f"{settings.region!r} as well: make another"
            )
        self._region = settings.region

    def authenticate(self, request: Request) -> Principal:
        """The owner of the key that the request is signed with.

        Raises:
            AuthenticationError: see the subclasses; their texts are AWS's.
            TooManyRequestsException: as many signatures are remembered as may be.
            AWSError: the body could not be read, or is too large.
        """
        environ = request.environ
        signature = sigv4.read(environ)
        if self._replays is not None and signature.expires_s is not None:
            # Else one presigned URL would have to be remembered for up to a week.
            signature = signature._replace(expires_s=min(signature.expires_s, self._clock_skew_s))
        credential = self._lookup(signature.claim.access_key_id) or self._nobody
        declared = environ.get("HTTP_X_AMZ_CONTENT_SHA256")
        fault = self._fault(signature, credential, declared, request)
        payload_hash = declared or _HASH_OF_NOTHING
        if declared is None and fault is None:
            payload_hash = _hash(request)
        if not self._verify(signature, credential, environ, payload_hash, fault):
            fault = fault or _mismatch(signature, "the signature is not the one of this request")
        if fault is not None:
            raise fault
        if declared not in (None, sigv4.UNSIGNED_PAYLOAD) and declared != _hash(request):
            raise _mismatch(signature, "the body is not the one whose hash was signed")
        self._refuse_replay(signature, request.received_at)
        return credential.owner

    def _fault(
        self, signature: Signature, credential: Credential, declared: str | None, request: Request
    ) -> AuthenticationError | None:
        """What the headers tell to be wrong, apart from the signature itself."""
        key_id = signature.claim.access_key_id
        now = request.received_at
        if credential is self._nobody:
            return UnrecognizedClientException(UNKNOWN, why="unknown access key", key_id=key_id)
        if not credential.is_enabled:
            return UnrecognizedClientException(UNKNOWN, why="disabled access key", key_id=key_id)
        token, wanted = signature.session_token, credential.session_token
        if token is not wanted and not _is_same(token, wanted):
            return UnrecognizedClientException(UNKNOWN, why="wrong session token", key_id=key_id)
        if credential.expires_at is not None and now >= credential.expires_at:
            return ExpiredTokenException(EXPIRED, why="expired access key", key_id=key_id)
        wrong = sigv4.time_fault(signature, now, self._clock_skew_s) or sigv4.scope_fault(
            signature, self._region
        )
        if wrong is not None:
            return InvalidSignatureException(wrong, key_id=key_id)
        unsigned = sigv4.unsigned_header(signature.claim, request.environ)
        if unsigned == "host":
            return InvalidSignatureException(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
                key_id=key_id,
            )
        if unsigned is not None:
            return _mismatch(signature, f"the header {unsigned} is not signed")
        if declared is not None and not self._may_declare(declared, request):
            return _mismatch(signature, f"x-amz-content-sha256 may not be {declared!r}")
        return None

    def _may_declare(self, payload_hash: str, request: Request) -> bool:
        """Whether ``x-amz-content-sha256`` is a hash, or may be missing as openly as that."""
        if payload_hash == sigv4.UNSIGNED_PAYLOAD:
            is_tls = request.environ.get("wsgi.url_scheme") == "https"
            return self._unsigned_payload == "always" or (
                self._unsigned_payload == "tls" and is_tls
            )
        return len(payload_hash) == 64 and _HEX_DIGITS.issuperset(payload_hash)

    def _verify(
        self,
        signature: Signature,
        credential: Credential,
        environ: Mapping[str, Any],
        payload_hash: str,
        fault: AuthenticationError | None,
    ) -> bool:
        """Whether the signature is the request's, in one of the ways that it may have been sent."""
        claim = signature.claim
        owned = (credential.secret_access_key, claim.date)
        kept = self._keys.get(owned)
        key = kept or sigv4.signing_key(*owned, self._region)
        for canonical in self._canonical_requests(claim, environ, payload_hash):
            text = sigv4.string_to_sign(signature.amz_date, claim.scope, canonical)
            if sigv4.is_same(signature.value, sigv4.sign(key, text)):
                if kept is None and fault is None:
                    self._keep(owned, key)
                return True
        if kept is not None:  # else it would show that this key has been used today
            sigv4.signing_key(*owned, self._region)
        return False

    def _keep(self, owned: tuple[str, str], key: hmac.HMAC) -> None:
        """Keep a derived key, once somebody has shown that it is the right one."""
        if len(self._keys) >= _MAX_KEPT_KEYS:
            self._keys.clear()
        self._keys[owned] = key

    def _canonical_requests(
        self, claim: Claim, environ: Mapping[str, Any], payload_hash: str
    ) -> Iterator[str]:
        """The canonical requests that the client may have signed, the likeliest first."""
        query = sigv4.canonical_query(environ.get("QUERY_STRING") or "")
        on_the_wire = sigv4.paths_on_the_wire(environ, rebuild=self._proxy_decodes_path)
        if self._public_prefix:  # callers behind the proxy, and those who come past it
            on_the_wire = [
                start + path for path in on_the_wire for start in (self._public_prefix, "")
            ]
        paths = [sigv4.canonical_path(path) for path in on_the_wire]
        for host in self._hosts:
            headers = sigv4.canonical_headers(claim.header_keys, environ, host)
            for path in paths:
                yield sigv4.canonical_request(
                    environ["REQUEST_METHOD"],
                    path,
                    query,
                    headers,
                    claim.signed_headers,
                    payload_hash,
                )

    def _refuse_replay(self, signature: Signature, now: float) -> None:
        if self._replays is None:
            return
        life_s = signature.expires_s or self._clock_skew_s
        try:
            is_new = self._replays.is_new(
                signature.value, now=now, until=signature.signed_at + life_s
            )
        except Full:
            raise admission.too_many_requests(1, admission.CALLER_RATE) from None
        if not is_new:
            raise InvalidSignatureException(
                "The signature has been used already.",
                why="replayed",
                key_id=signature.claim.access_key_id,
            )


def _hash(request: Request) -> str:
    return hashlib.sha256(request.read_body()).hexdigest()


def _is_same(token: str | None, wanted: str | None) -> bool:
    if token is None or wanted is None:
        return False
    return hmac.compare_digest(token.encode("utf-8", "replace"), wanted.encode())


def _mismatch(signature: Signature, why: str) -> InvalidSignatureException:
    return InvalidSignatureException(sigv4.MISMATCH, why=why, key_id=signature.claim.access_key_id)


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and 1 <= value <= 3600  # type: ignore[operator]


def _are_hosts(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) <= _MAX_PUBLIC_HOSTS
        and all(isinstance(host, str) and host and "/" not in host for host in value)
    )


def _is_prefix(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and not value.endswith("/")


def _check(name: str, value: object, is_legal: bool, allowed: str) -> None:
    if not is_legal:
        raise ConfigurationError(f"auth: {name}={value!r}: it must be {allowed}")
