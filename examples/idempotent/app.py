r"""A charge that happens once, although its event runs twice.

    python app.py

The first attempt of each event charges and then fails, as if something had broken after the work.
The second attempt, two seconds later, finds the request id and does nothing.

Try it from another terminal, then look at http://127.0.0.1:8000/:

    aws lambda invoke --function-name charge --invocation-type Event \
        --payload '{"customer": "ada", "cents": 500}' \
        --endpoint-url http://127.0.0.1:8000 --region us-east-1 --no-sign-request answer.json
"""

import json
import os
import sqlite3
from contextlib import closing

import waitress

from invokeasync_wsgi import Functions, InvokeAsyncMiddleware, drain_on_sigterm
from invokeasync_wsgi.process import start_all

SHOP = os.environ.get("SHOP", "shop.db")

functions = Functions()


def open_shop():
    shop = sqlite3.connect(SHOP, timeout=20)
    shop.execute("create table if not exists charged (request_id text primary key)")
    shop.execute("create table if not exists charges (customer text, cents integer)")
    return shop


@functions.function("charge", timeout_s=30)
def charge(event, context):
    if charge_once(context.aws_request_id, event["customer"], event["cents"]):
        print(f"charged {event['customer']} in request {context.aws_request_id}")
        raise ConnectionError("the process might as well have died here")
    print(f"{event['customer']} was charged before, in request {context.aws_request_id}")


def charge_once(request_id, customer, cents):
    with closing(open_shop()) as shop, shop:  # one transaction: both rows, or neither
        first = shop.execute("insert or ignore into charged values (?)", [request_id])
        if first.rowcount == 0:
            return False
        shop.execute("insert into charges values (?, ?)", [customer, cents])
    return True


def website(environ, start_response):
    with closing(open_shop()) as shop:
        rows = shop.execute("select customer, sum(cents) from charges group by customer").fetchall()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(dict(rows)).encode()]


# Everybody who reaches this server may invoke and configure. It listens on 127.0.0.1 only.
application = InvokeAsyncMiddleware(
    website,
    functions,
    auth="none",
    executor=os.environ.get("INVOKEASYNC_EXECUTOR", "sqlite:///invocations.db"),
    retry_waits_s=(2,),  # Lambda waits for a minute
)

if __name__ == "__main__":
    drain_on_sigterm()
    start_all()  # run what is left over from the last time
    waitress.serve(application, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
