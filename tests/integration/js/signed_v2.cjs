// Signs calls with the AWS SDK for JavaScript v2, with the keys of the credentials file's profiles;
// prints what came of each call, as JSON.
// Usage: AWS_SHARED_CREDENTIALS_FILE=FILE node signed_v2.cjs ENDPOINT

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";

const { SharedIniFileCredentials } = require("aws-sdk/global");
const Lambda = require("aws-sdk/clients/lambda");

const endpoint = process.argv[2];
const filename = process.env.AWS_SHARED_CREDENTIALS_FILE;
const arn = "arn:aws:lambda:us-east-1:123456789012:function";
const results = {};

function client(profile = "default", mount = "") {
  return new Lambda({
    endpoint: endpoint + mount,
    region: "us-east-1",
    credentials: new SharedIniFileCredentials({ filename, profile }),
    maxRetries: 0,
  });
}

async function call(name, request) {
  try {
    const data = await request.promise();
    results[name] = { status: data.Status ?? data.StatusCode };
  } catch (error) {
    results[name] = { status: error.statusCode, error: error.code, message: error.message };
  }
  results[name].requestId = request.response.requestId;
}

async function main() {
  const Payload = '{"from": "v2"}';
  const parameters = (FunctionName, InvokeArgs = Payload) => ({ FunctionName, InvokeArgs });

  await call("plain", client().invokeAsync(parameters("echo")));
  await call("alias", client().invokeAsync(parameters("echo:live")));
  await call("arn", client().invokeAsync(parameters(`${arn}:echo`)));
  await call("latest", client().invokeAsync(parameters(`${arn}:echo:$LATEST`)));
  await call(
    "qualifier",
    client().invoke({
      FunctionName: "echo",
      Qualifier: "$LATEST",
      InvocationType: "Event",
      Payload,
    }),
  );
  const large = JSON.stringify("x".repeat(100_000));
  await call("large", client().invokeAsync(parameters("echo", large)));
  await call("mounted", client("default", "/mounted").invokeAsync(parameters(`${arn}:echo:live`)));
  await call("token", client("temporary").invokeAsync(parameters("echo")));

  await call("wrong", client("wrong").invokeAsync(parameters("echo")));
  await call("unknown", client("unknown").invokeAsync(parameters("echo")));
  await call("denied", client("limited").invokeAsync(parameters("echo")));
  console.log(JSON.stringify(results));
}

main();
