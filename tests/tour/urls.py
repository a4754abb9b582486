"""
The demo's pages, and beside its admin a plain one: Django's own, with nothing of ours.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import path

from project.urls import urlpatterns as project_urlpatterns

plain = admin.AdminSite("plain")


@admin.register(User, site=plain)
class PlainAdmin(admin.ModelAdmin):
    """What each admin has that ours has: a search with a help, filters, dates."""

    search_fields = ["username"]
    search_help_text = "Search names."
    list_filter = ["is_active"]
    fields = ["username", "is_active", "date_joined"]


urlpatterns = [path("plain/", plain.urls), *project_urlpatterns]
