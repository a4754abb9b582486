"""The demo's pages over HTTP. Its sockets are in asgi.py."""

from django.contrib import admin
from django.urls import path

from .views import home

urlpatterns = [
    path("", home),
    path("admin/", admin.site.urls),
]
