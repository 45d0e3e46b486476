// Signs calls with the AWS SDK for JavaScript v3, with the keys of the credentials file's profiles;
// prints what came of each call, as JSON.
// Usage: AWS_SHARED_CREDENTIALS_FILE=FILE node signed_v3.mjs ENDPOINT

import { Readable } from "node:stream";
import { InvokeAsyncCommand, InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";

const endpoint = process.argv[2];
const arn = "arn:aws:lambda:us-east-1:123456789012:function";
const clients = {};
const results = {};

function client(profile, mount) {
  return (clients[profile + mount] ??= new LambdaClient({
    endpoint: endpoint + mount,
    region: "us-east-1",
    profile,
    maxAttempts: 1,
  }));
}

async function call(name, command, { profile = "default", mount = "" } = {}) {
  try {
    const answer = await client(profile, mount).send(command);
    results[name] = {
      status: answer.$metadata.httpStatusCode,
      requestId: answer.$metadata.requestId,
    };
  } catch (error) {
    results[name] = {
      status: error.$metadata?.httpStatusCode,
      error: error.name,
      message: error.message,
    };
  }
}

function invokeAsync(FunctionName, InvokeArgs = '{"from": "v3"}') {
  return new InvokeAsyncCommand({ FunctionName, InvokeArgs });
}

const stream = () => Readable.from([Buffer.from('{"from": '), Buffer.from('"v3"}')]);
const Payload = '{"from": "v3"}';

await call("plain", invokeAsync("echo"));
await call("alias", invokeAsync("echo:live"));
await call("arn", invokeAsync(`${arn}:echo`));
await call("latest", invokeAsync(`${arn}:echo:$LATEST`));
await call(
  "qualifier",
  new InvokeCommand({
    FunctionName: "echo",
    Qualifier: "$LATEST",
    InvocationType: "Event",
    Payload,
  }),
);
await call("large", invokeAsync("echo", JSON.stringify("x".repeat(100_000))));
await call("mounted", invokeAsync(`${arn}:echo:live`), { mount: "/mounted" });
await call("token", invokeAsync("echo"), { profile: "temporary" });
await call("stream", invokeAsync("echo", stream()), { mount: "/streams" });

await call("streamRefused", invokeAsync("echo", stream()));
await call("wrong", invokeAsync("echo"), { profile: "wrong" });
await call("unknown", invokeAsync("echo"), { profile: "unknown" });
await call("denied", invokeAsync("echo"), { profile: "limited" });

console.log(JSON.stringify(results));
