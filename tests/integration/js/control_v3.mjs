// Makes calls with the AWS SDK for JavaScript v3, one after another, with the key of the default
// profile; prints what came of each, as JSON.
// Usage: AWS_SHARED_CREDENTIALS_FILE=FILE node control_v3.mjs ENDPOINT < CALLS
// where CALLS is a list of [OPERATION, PARAMETERS].

import { readFileSync } from "node:fs";
import * as sdk from "@aws-sdk/client-lambda";

const client = new sdk.LambdaClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  profile: "default",
  maxAttempts: 1,
});
const results = [];

for (const [operation, parameters] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const { $metadata, ...answer } = await client.send(
      new sdk[`${operation}Command`](parameters),
    );
    results.push({ status: $metadata.httpStatusCode, answer });
  } catch (error) {
    results.push({
      status: error.$metadata?.httpStatusCode,
      error: error.name,
      message: error.message,
    });
  }
}

console.log(JSON.stringify(results));
