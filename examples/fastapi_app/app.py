r"""Functions beside FastAPI: a WSGI application of their own, mounted through a2wsgi, on uvicorn.

    python app.py

Clients use the place where it is mounted as their endpoint:

    aws lambda invoke --function-name greet --invocation-type Event --payload '{"name": "you"}' \
        --endpoint-url http://127.0.0.1:8000/lambda --region us-east-1 --no-sign-request answer.json

Events are in memory here. a2wsgi has no shutdown hook and uvicorn dies of SIGTERM without
one: the events that a thread had not finished would be lost. FastAPI's lifespan is that hook here.
Take it away, and a stop loses accepted events; the other examples keep them in a file.
"""

import os
from contextlib import asynccontextmanager

import uvicorn
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware

functions = Functions()


@functions.function("greet", timeout_s=30)
def greet(event, context):
    print(f"hello {event['name']}, this is request {context.aws_request_id}")


# Everybody who reaches this server may invoke and configure. It listens on 127.0.0.1 only.
invoke_api = InvokeAsyncMiddleware(None, functions, auth="none")


@asynccontextmanager
async def lifespan(app):
    yield
    await run_in_threadpool(invoke_api.drain)


app = FastAPI(lifespan=lifespan)
app.mount("/lambda", WSGIMiddleware(invoke_api))


@app.get("/")
async def index():
    return {"what": "A FastAPI application."}


@app.post("/greetings/{name}")
async def greetings(name: str):
    return {"greet_request": invoke_api.submit("greet", {"name": name})}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
