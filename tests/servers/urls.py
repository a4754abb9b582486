"""One page over HTTP, which the guard has to leave alone."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"page for {request.headers['origin']}")


urlpatterns = [path("page/", page)]
