"""Callers of every kind: one who may, one who may not everything, and strangers.

    python client.py

It calls app.py, which must be running on port 8000 or the one in PORT, with the keys that it made.
"""

import json
import os
from pathlib import Path

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

KEYS = os.environ.get("KEYS", str(Path(__file__).with_name("keys.ini")))
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = KEYS  # for boto3, in place of ~/.aws/credentials

SERVER = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"


def client_of(profile, region="us-east-1", **keys):
    session = boto3.Session(profile_name=profile, **keys)
    return session.client("lambda", endpoint_url=SERVER, region_name=region)


def call(who, client, **arguments):
    try:
        answer = client.invoke(**arguments)
    except ClientError as exc:
        print(f"{who}: {exc.response['Error']['Code']}: {exc.response['Error']['Message']}")
    else:
        print(f"{who}: {answer['StatusCode']} {answer['Payload'].read().decode()}".rstrip())


order = json.dumps({"order": 1})
alice, reporter = client_of("alice"), client_of("reporter")
call("alice", alice, FunctionName="invoice", InvocationType="Event", Payload=order)
call("alice", alice, FunctionName="report")
call("reporter", reporter, FunctionName="report")
call("reporter", reporter, FunctionName="invoice", Payload=order)

stranger = boto3.client(
    "lambda",
    endpoint_url=SERVER,
    region_name="us-east-1",
    config=Config(signature_version=UNSIGNED),
)
call("a stranger", stranger, FunctionName="report")

guesser = client_of(None, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="a guess")
call("a guesser", guesser, FunctionName="report")

elsewhere = client_of("alice", region="eu-west-1")
call("alice, elsewhere", elsewhere, FunctionName="report")
