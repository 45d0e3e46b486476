// Calls a server with the AWS SDK for JavaScript v3; prints what came of each call, as JSON.
// Usage: node client_v3.mjs ENDPOINT

import { Readable } from "node:stream";
import {
  InvokeAsyncCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
} from "@aws-sdk/client-lambda";

const client = new LambdaClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
  maxAttempts: 1,
});

const arn = "arn:aws:lambda:us-east-1:123456789012:function:record";
const results = {};

async function call(name, command, read = () => ({})) {
  try {
    const answer = await client.send(command);
    results[name] = {
      status: answer.$metadata.httpStatusCode,
      requestId: answer.$metadata.requestId,
      ...(await read(answer)),
    };
  } catch (error) {
    results[name] = {
      status: error.$metadata?.httpStatusCode,
      requestId: error.$metadata?.requestId,
      error: error.name,
      class: error.constructor.name,
      message: error.message,
    };
  }
}

const text = (bytes) => new TextDecoder().decode(bytes);
const InvokeArgs = '{"from": "v3"}';

await call("invokeAsync", new InvokeAsyncCommand({ FunctionName: "record", InvokeArgs }));
await call("arn", new InvokeAsyncCommand({ FunctionName: arn, InvokeArgs }));
await call(
  "stream",
  new InvokeAsyncCommand({
    FunctionName: "record",
    InvokeArgs: Readable.from([Buffer.from('{"from": '), Buffer.from('"a stream"}')]),
  }),
);
await call(
  "event",
  new InvokeCommand({ FunctionName: "record", InvocationType: "Event", Payload: InvokeArgs }),
);
await call(
  "requestResponse",
  new InvokeCommand({ FunctionName: "echo", Payload: InvokeArgs, Qualifier: "live", LogType: "Tail" }),
  (answer) => ({
    payload: text(answer.Payload),
    version: answer.ExecutedVersion,
    log: Buffer.from(answer.LogResult, "base64").toString(),
  }),
);
await call("dryRun", new InvokeCommand({ FunctionName: "record", InvocationType: "DryRun" }));
await call("functionError", new InvokeCommand({ FunctionName: "fail" }), (answer) => ({
  functionError: answer.FunctionError,
  payload: text(answer.Payload),
}));
await call(
  "responseStream",
  new InvokeWithResponseStreamCommand({ FunctionName: "echo", Payload: InvokeArgs }),
  async (answer) => {
    const events = [];
    for await (const event of answer.EventStream) {
      events.push(event.PayloadChunk ? text(event.PayloadChunk.Payload) : Object.keys(event)[0]);
    }
    return { events };
  },
);
await call("unknown", new InvokeAsyncCommand({ FunctionName: "unknown", InvokeArgs }));
await call("notJson", new InvokeAsyncCommand({ FunctionName: "record", InvokeArgs: "{" }));
await call("badName", new InvokeAsyncCommand({ FunctionName: "a/b", InvokeArgs }));
await call(
  "badQualifier",
  new InvokeCommand({ FunctionName: "echo:live", Qualifier: "1", Payload: InvokeArgs }),
);

console.log(JSON.stringify(results));
