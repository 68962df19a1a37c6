"""A Flask bot: what is posted to it appears in a QQ chat.

    gunicorn --preload --workers 2 --threads 8 'flask_bot:create_app()'

Without --threads a worker serves one upload at a time, and gunicorn ends it after 30 seconds.
Whoever may post to it may write in the bot's name: put it behind your login.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Flask, abort, request

from qqchunk import FileType, Uploader, UploadError

from .answers import explain

DEADLINE = 50.0  # seconds; nginx in front of the app gives up after 60
LARGEST_REQUEST = 201 << 20  # bytes: QQ takes files of 200 MB, and the form is a little more


def create_app(**options: Any) -> Flask:
    """Make the app, with one Uploader for all its requests, threads and pre-forked workers.

    :param options: those of Uploader that are not to come from the environment
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST
    uploader = Uploader.from_env(**options)
    app.extensions["qqchunk"] = uploader

    @app.post("/chats/<any(c2c, group):chat_type>/<openid>/files")
    def send_file(chat_type: str, openid: str) -> Any:
        """Send the form's file to one chat, with the form's text."""
        file = request.files.get("file")
        if not file or not file.read(1):  # the whole of it goes up all the same
            abort(400, "Choose a file that is not empty.")
        reply = uploader.send(
            chat_type, openid, file, content=request.form.get("text") or None,
            msg_id=request.form.get("msg_id") or None, deadline=DEADLINE)
        return {"message_id": reply.get("id")}

    @app.post("/groups/files")
    def send_to_groups() -> Any:
        """Upload the form's file once and send it to each group of the form."""
        groups = request.form.getlist("group")
        if not groups:
            abort(400, "Choose a group.")
        file = request.files["file"]
        result = uploader.upload("group", groups[0], file, deadline=DEADLINE)
        answers = {}
        for group in groups:
            try:
                uploader.send("group", group, result)
                answers[group] = "sent"
            except UploadError as error:
                answers[group] = explain(error)[1]
        return answers

    @app.post("/commands/report")
    def report() -> Any:
        """Answer the command "report" of a user: a message with the report as a file."""
        message = request.get_json()
        rows = "day,visitors\n" + f"{date.today()},42\n"
        reply = uploader.send(
            "c2c", message["openid"], rows.encode(), FileType.FILE, "report.csv",
            msg_id=message["msg_id"], content="Here it is:", deadline=DEADLINE)
        return {"message_id": reply.get("id")}

    @app.errorhandler(UploadError)
    def not_sent(error: UploadError) -> Any:
        app.logger.warning("%s", error)
        status, text = explain(error)
        return {"error": text, "trace_id": error.trace_id}, status

    return app
