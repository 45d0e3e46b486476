"""What answers of control calls look like: the output shapes of botocore's model.

Members that say how AWS keeps functions (where the code is, how large, with which role) have values
that fit the model and are true here as far as there is something to be true; see the documentation.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import sys
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .. import names, targets
from ..catalog import Catalog
from ..functions import Alias, Function, Version
from ..overrides import UNQUALIFIED, EventInvokeConfig

#: Of revisions: any UUID will do, as long as it stays this one.
_REVISIONS = uuid.UUID("3f1f2f0a-6d0c-4c0e-8a55-6f8f6c1a7f51")

_ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64"}


def function_configuration(
    catalog: Catalog,
    function: Function,
    number: str,
    *,
    qualifier: str | None,
    is_listed: bool = False,
) -> dict[str, Any]:
    """A FunctionConfiguration.

    Args:
        catalog: tells region and account.
        function: as it is now.
        number: of the version that is shown.
        qualifier: of its ARN; ``None`` for none.
        is_listed: lists leave some members out.
    """
    version = function.known_versions[number]
    partition = names.partition(catalog.region)
    shown: dict[str, Any] = {
        "FunctionName": function.name,
        "FunctionArn": catalog.arn(function.name, qualifier),
        "Runtime": version.runtime,
        "Role": f"arn:{partition}:iam::{catalog.account_id}:role/invokeasync-wsgi",
        "Handler": version.reference,
        "CodeSize": 0,
        "Description": version.description,
        "Timeout": max(round(version.timeout_s), 1),
        "MemorySize": version.memory_limit_in_mb,
        "LastModified": _moment(version.modified_at),
        "CodeSha256": code_sha256(version),
        "Version": number,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": revision(catalog, function, number),
        "PackageType": "Zip",
        "Architectures": [_ARCHITECTURES.get(platform.machine(), "x86_64")],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"},
    }
    if version.dead_letter is not None and version.dead_letter.name.startswith("arn:"):
        shown["DeadLetterConfig"] = {"TargetArn": version.dead_letter.name}
    if not is_listed:
        shown["State"] = "Active"
        shown["LastUpdateStatus"] = "Successful"
        shown["RuntimeVersionConfig"] = {"RuntimeVersionArn": runtime_version_arn(catalog)}
    return shown


def code_sha256(version: Version) -> str:
    """The hash of the handler's name, for want of one of its code, which is the application's."""
    return base64.b64encode(hashlib.sha256(version.reference.encode()).digest()).decode()


def runtime_version_arn(catalog: Catalog) -> str:
    """An ARN for this very interpreter."""
    digest = hashlib.sha256(sys.version.encode()).hexdigest()
    return f"arn:{names.partition(catalog.region)}:lambda:{catalog.region}::runtime:{digest}"


def revision(catalog: Catalog, function: Function, qualifier: str) -> str:
    """The RevisionId of a version or an alias, and of the policy that it has.

    The same in all processes that have the same application, and another one as soon as anything of
    it has changed.
    """
    alias = function.known_aliases.get(qualifier) or function.overrides.aliases.get(qualifier)
    stamp = function.overrides.stamps.get(_key(qualifier))
    if alias is not None:
        content: list[Any] = [alias.version, dict(alias.weights), alias.description]
    else:
        version = function.known_versions[qualifier]
        dead_letter = None if version.dead_letter is None else version.dead_letter.name
        content = [version.reference, version.description, version.timeout_s, version.runtime]
        content += [version.memory_limit_in_mb, dead_letter, version.published_at]
    whole = [catalog.arn(function.name, qualifier), stamp, content]
    return str(uuid.uuid5(_REVISIONS, json.dumps(whole)))


def alias_configuration(catalog: Catalog, function: Function, alias: Alias) -> dict[str, Any]:
    """An AliasConfiguration."""
    shown: dict[str, Any] = {
        "AliasArn": catalog.arn(function.name, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": revision(catalog, function, alias.name),
    }
    if alias.weights:
        shown["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return shown


def event_invoke_config(catalog: Catalog, arn: str, config: EventInvokeConfig) -> dict[str, Any]:
    """A FunctionEventInvokeConfig of a qualified ARN."""
    shown: dict[str, Any] = {"LastModified": round(config.modified_at, 3), "FunctionArn": arn}
    if config.maximum_retry_attempts is not None:
        shown["MaximumRetryAttempts"] = config.maximum_retry_attempts
    if config.maximum_event_age_s is not None:
        shown["MaximumEventAgeInSeconds"] = config.maximum_event_age_s
    shown["DestinationConfig"] = {
        "OnSuccess": _destination(catalog, config.on_success),
        "OnFailure": _destination(catalog, config.on_failure),
    }
    return shown


def policy_text(statements: list[Mapping[str, Any]]) -> str:
    """A resource-based policy, as GetPolicy has it in a string."""
    return compact({"Version": "2012-10-17", "Id": "default", "Statement": statements})


def compact(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def _destination(catalog: Catalog, name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    target = targets.find(name)
    reference = names.parse(name) if target is not None and target.kind == "function" else None
    if reference is not None:
        return {"Destination": catalog.arn(reference.name, reference.qualifier)}
    return {"Destination": targets.shown(name)}


def _key(qualifier: str) -> str:
    return UNQUALIFIED if qualifier == names.LATEST else qualifier


def _moment(seconds: float) -> str:
    """Lambda's spelling: ``2025-11-25T02:27:51.000+0000``."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"
