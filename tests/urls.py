"""The admin over HTTP; beyond that the suite speaks WebSocket."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
