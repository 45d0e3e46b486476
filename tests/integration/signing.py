"""Callers with access keys, for the tests of signed requests.

One credentials file is read by the server and by AWS's clients, as it is. Requests that no client
library would send are signed by botocore's signer, which has nothing in common with ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.loaders
import botocore.session

from tests.integration import raw

REGION = "us-east-1"
ARN = "arn:aws:lambda:us-east-1:123456789012:function"

#: A second reading of the service's model takes a tenth of a second.
_LOADER = botocore.loaders.create_loader()


class Key(NamedTuple):
    """An access key, and the profile that has it."""

    profile: str
    access_key_id: str
    secret: str
    token: str | None = None
    #: What else the file says of it.
    more: str = ""


#: With a slash and a plus sign, as secrets have them.
DEFAULT = Key("default", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
#: With a session token as long as the longest: the head is larger than some servers' default.
TEMPORARY = Key("temporary", "ASIDEXAMPLE", "temporary/secret+0123456789", "TOK/EN+" * 700 + "==")
#: May invoke ``record`` and ``echo:live`` only.
LIMITED = Key("limited", "AKIDLIMITED", "limited/secret+012345678901")
#: May invoke everything that is not forbidden to it, which ``echo`` is.
FORBIDDEN = Key("forbidden", "AKIDFORBIDDEN", "forbidden/secret+0123456789")
RETIRED = Key("retired", "AKIDRETIRED", "retired/secret+012345678901", more="disabled = true")
#: What the server knows.
KNOWN = (DEFAULT, TEMPORARY, LIMITED, FORBIDDEN, RETIRED)

#: Nobody's.
UNKNOWN = Key("unknown", "AKIDUNKNOWN", "unknown/secret+012345678901")
#: A known id with another secret.
WRONG = Key("wrong", DEFAULT.access_key_id, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEX")
#: Temporary credentials with another token, and with none.
MIXED_UP = Key("mixed-up", TEMPORARY.access_key_id, TEMPORARY.secret, "another/token")
TOKENLESS = Key("tokenless", TEMPORARY.access_key_id, TEMPORARY.secret)
STRANGERS = (UNKNOWN, WRONG, MIXED_UP, TOKENLESS)

_INVOKE = {"Effect": "Allow", "Action": "lambda:InvokeFunction"}
POLICIES = {
    "default": {"Version": "2012-10-17", "Statement": {**_INVOKE, "Resource": "*"}},
    "temporary": {"Version": "2012-10-17", "Statement": {**_INVOKE, "Resource": f"{ARN}:*"}},
    "limited": {
        "Version": "2012-10-17",
        "Statement": [{**_INVOKE, "Resource": [f"{ARN}:record", f"{ARN}:echo:live"]}],
    },
    "forbidden": {
        "Version": "2012-10-17",
        "Statement": [
            {**_INVOKE, "Resource": "*"},
            {"Effect": "Deny", "Action": "lambda:*", "Resource": f"{ARN}:echo*"},
        ],
    },
}

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."


def profiles(*keys: Key) -> str:
    """An AWS-style credentials file of these keys."""
    lines = []
    for key in keys:
        lines += [f"[{key.profile}]", f"aws_access_key_id = {key.access_key_id}"]
        lines += [f"aws_secret_access_key = {key.secret}"]
        if key.token is not None:
            lines.append(f"aws_session_token = {key.token}")
        lines += [key.more, ""]
    return "\n".join(lines)


class Keys:
    """The files of one test's keys and policies.

    Args:
        folder: where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self.server = folder / "keys.ini"
        self.policies = folder / "policies.json"
        #: What the clients have: the server's, and those of strangers.
        self.clients = folder / "credentials"
        self.write(*KNOWN)
        self.clients.write_text(profiles(*KNOWN, *STRANGERS))
        self.policies.write_text(json.dumps(POLICIES))

    def write(self, *keys: Key) -> None:
        """Have the server know these keys only, as soon as it looks."""
        new = self.server.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(profiles(*keys))
        new.replace(self.server)

    def auth(self, **options: str) -> str:
        """The server's setting."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"sigv4:///{self.server}" + (f"?{query}" if query else "")

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a server with keys and policies, and patience with tests."""
        return {
            "INVOKEASYNC_AUTH": self.auth(),
            "INVOKEASYNC_POLICIES": str(self.policies),
            "INVOKEASYNC_AUTH_FAILURES_PER_MINUTE": "1000",
        }

    def environment(self) -> dict[str, str]:
        """The environment of an AWS client that finds the keys, and no others."""
        return {
            "PATH": os.environ["PATH"],
            "AWS_SHARED_CREDENTIALS_FILE": str(self.clients),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
        }

    def aws(
        self, url: str, profile: str | None, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``aws lambda`` with the key of a profile, or unsigned."""
        who = ["--no-sign-request"] if profile is None else ["--profile", profile]
        return subprocess.run(
            [sys.executable, "-m", "awscli", "--endpoint-url", url, *who, "lambda", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def client(self, endpoint_url: str, profile: str = "default") -> Any:
        """boto3's client with the key of a profile. Close it."""
        session = botocore.session.Session(profile=profile)
        session.register_component("data_loader", _LOADER)
        session.set_config_variable("credentials_file", str(self.clients))
        session.set_config_variable("config_file", os.devnull)
        return boto3.Session(botocore_session=session, region_name=REGION).client(
            "lambda",
            endpoint_url=endpoint_url,
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20
            ),
        )


def signed_headers(
    path: str,
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    *,
    key: Key = DEFAULT,
    host: str = "localhost",
    region: str = REGION,
) -> dict[str, str]:
    """The headers that a signed POST needs, without ``Host``.

    Args:
        path: as on the wire, with the query.
        body: of the request.
        headers: to sign as well.
        key: to sign with.
        host: the value of ``Host``.
        region: to sign for.
    """
    request = botocore.awsrequest.AWSRequest(
        "POST", f"http://{host}{path}", headers=dict(headers or {}), data=body
    )
    credentials = botocore.credentials.Credentials(key.access_key_id, key.secret, key.token)
    botocore.auth.SigV4Auth(credentials, "lambda", region).add_auth(request)
    return dict(request.headers.items())


def signed_post(
    path: str,
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    *,
    key: Key = DEFAULT,
) -> bytes:
    """A signed request, to be sent on a connection of its own."""
    signed = signed_headers(path, body, headers, key=key)
    return raw.post(path, body, {**signed, "Connection": "close"})
