"""Handlers as they are written for Lambda."""


def rotate(event, context):
    print(f"{event['key']} is turned by {event.get('degrees', 90)} degrees")


def thumbnail(event, context):
    return {"thumbnail": f"small-{event['key']}", "version": context.function_version}


def thumbnail_2(event, context):
    return {"thumbnail": f"tiny-{event['key']}", "version": context.function_version}
