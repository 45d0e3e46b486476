"""A client: boto3, with the address of your own server.

    python client.py

It invokes the functions of ../flask_app, which must be running on port 8000 or the one in PORT.
"""

import json
import os

import boto3
from botocore import UNSIGNED
from botocore.config import Config

client = boto3.client(
    "lambda",
    endpoint_url=f"http://127.0.0.1:{os.environ.get('PORT', '8000')}",
    region_name="us-east-1",
    config=Config(signature_version=UNSIGNED),  # or any credentials: the example checks none
)

# Fire and forget, the old way. The answer says that the event is accepted, no more.
answer = client.invoke_async(FunctionName="helloworld", InvokeArgs=json.dumps({"name": "boto3"}))
print("invoke_async:", answer["Status"], answer["ResponseMetadata"]["RequestId"])

# The same with the operation that took its place.
answer = client.invoke(
    FunctionName="helloworld",
    InvocationType="Event",
    Payload=json.dumps({"name": "Event"}),
)
print("invoke, Event:", answer["StatusCode"])

# Wait for the result.
answer = client.invoke(FunctionName="helloworld", Payload=json.dumps({"name": "result"}))
print("invoke:", answer["StatusCode"], json.load(answer["Payload"]))

# Ask whether it could be invoked, and invoke nothing.
answer = client.invoke(FunctionName="helloworld", InvocationType="DryRun")
print("dry run:", answer["StatusCode"])

# The handler fails: the call itself succeeds, and says so. This event has no "key".
answer = client.invoke(FunctionName="thumbnail", Payload=b"{}")
error = json.load(answer["Payload"])
print("function error:", answer["FunctionError"], error["errorType"], error["errorMessage"])

# The call fails: nothing was accepted.
try:
    client.invoke_async(FunctionName="nosuch", InvokeArgs=b"{}")
except client.exceptions.ResourceNotFoundException as exc:
    print("no such function:", exc.response["Error"]["Message"])

try:
    client.invoke_async(FunctionName="helloworld", InvokeArgs=b"{not json")
except client.exceptions.InvalidRequestContentException as exc:
    print("not JSON:", exc.response["ResponseMetadata"]["HTTPStatusCode"])

# boto3 tries 429 and 5xx again by itself; what is left raises these.
try:
    client.invoke_async(FunctionName="helloworld", InvokeArgs=b"{}")
except client.exceptions.TooManyRequestsException as exc:
    print("the queue is full; come back in", exc.response["retryAfterSeconds"], "s")
except client.exceptions.ServiceException as exc:
    print("not accepted:", exc)
