"""The site's pages."""

from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST


def index(request):
    return HttpResponse("A Django site.\n", content_type="text/plain")


@require_POST
def signup(request):
    from .wsgi import application  # it imports this module

    request_id = application.submit("welcome", {"email": request.POST["email"]})
    return JsonResponse({"welcome_request": request_id}, status=202)


urlpatterns = [path("", index), path("signup", signup)]
