// Calls a server with the AWS SDK for JavaScript v2; prints what came of each call, as JSON.
// Usage: node client_v2.cjs ENDPOINT

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";

const Lambda = require("aws-sdk/clients/lambda");

const client = new Lambda({
  endpoint: process.argv[2],
  region: "us-east-1",
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "secret",
  maxRetries: 0,
});

const results = {};

async function call(name, request) {
  try {
    const data = await request.promise();
    results[name] = {
      status: data.Status ?? data.StatusCode,
      payload: data.Payload?.toString(),
    };
  } catch (error) {
    results[name] = { status: error.statusCode, error: error.code, message: error.message };
  }
  results[name].requestId = request.response.requestId;
}

async function main() {
  const InvokeArgs = '{"from": "v2"}';
  await call("invokeAsync", client.invokeAsync({ FunctionName: "record", InvokeArgs }));
  await call(
    "event",
    client.invoke({ FunctionName: "record", InvocationType: "Event", Payload: InvokeArgs }),
  );
  await call("requestResponse", client.invoke({ FunctionName: "echo", Payload: InvokeArgs }));
  await call("unknown", client.invokeAsync({ FunctionName: "unknown", InvokeArgs }));
  await call("notJson", client.invokeAsync({ FunctionName: "record", InvokeArgs: "{" }));
  console.log(JSON.stringify(results));
}

main();
