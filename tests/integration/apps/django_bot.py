"""A Django bot in one file: settings, the uploader, views, URLs.

    DJANGO_SETTINGS_MODULE=django_bot \\
        gunicorn --preload --workers 2 --threads 8 'django.core.wsgi:get_wsgi_application()'

Without --threads a worker serves one upload at a time, and gunicorn ends it after 30 seconds.
Whoever may post to it may write in the bot's name: put it behind your login.
"""

from __future__ import annotations

import json
import os
from datetime import date
from typing import Any, Dict, Optional

from django import forms
from django.apps import AppConfig, apps
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from qqchunk import FileType, Uploader, UploadError

from .answers import explain

DEADLINE = 50.0  # seconds; nginx in front of the app gives up after 60

# ------------------------------------------------------------------------------- settings.py

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only good for a trial")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = __name__
INSTALLED_APPS = [f"{__name__}.BotConfig"]
MIDDLEWARE = [f"{__name__}.UploadErrorMiddleware"]
USE_TZ = True
QQ_BOT: Dict[str, Any] = {}  # options of Uploader that are not to come from the environment

# ----------------------------------------------------------------------------------- apps.py


class BotConfig(AppConfig):
    """Holds one Uploader for all requests, threads and pre-forked workers."""

    name = __name__
    label = "bot"

    def ready(self) -> None:
        from django.conf import settings

        self.uploader = Uploader.from_env(**settings.QQ_BOT)


def uploader() -> Uploader:
    """Return the site's Uploader."""
    return apps.get_app_config("bot").uploader


# ----------------------------------------------------------------------------- middleware.py


class UploadErrorMiddleware:
    """Turns what the upload raised into an answer that a person understands."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> Optional[HttpResponse]:
        if not isinstance(error, UploadError):
            return None
        status, text = explain(error)
        return JsonResponse({"error": text, "trace_id": error.trace_id}, status=status)


# ---------------------------------------------------------------------------------- views.py


class FileForm(forms.Form):
    file = forms.FileField()
    text = forms.CharField(required=False)


@require_POST
def send_file(request: HttpRequest, chat_type: str, openid: str) -> HttpResponse:
    """Send the form's file to one chat, with the form's text."""
    form = FileForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"error": form.errors}, status=400)
    reply = uploader().send(
        chat_type, openid, form.cleaned_data["file"],
        content=form.cleaned_data["text"] or None, deadline=DEADLINE)
    return JsonResponse({"message_id": reply.get("id")})


@require_POST
def report(request: HttpRequest) -> HttpResponse:
    """Answer the command "report" of a user: a message with the report as a file."""
    message = json.loads(request.body)
    rows = "day,visitors\n" + f"{date.today()},42\n"
    reply = uploader().send(
        "c2c", message["openid"], rows.encode(), FileType.FILE, "report.csv",
        msg_id=message["msg_id"], content="Here it is:", deadline=DEADLINE)
    return JsonResponse({"message_id": reply.get("id")})


# ----------------------------------------------------------------------------------- urls.py

urlpatterns = [
    path("users/<openid>/files", send_file, {"chat_type": "c2c"}),
    path("groups/<openid>/files", send_file, {"chat_type": "group"}),
    path("commands/report", report),
]
