"""Wrong arguments are refused before anything goes over the network, and show no secret."""

from __future__ import annotations

import io
import pathlib
import threading
import traceback
from typing import Any, Callable, Dict, Iterator, Type

import pytest
import requests
import responses
from requests.auth import HTTPBasicAuth

from qqchunk import Uploader, UploadResult
from qqchunk.protocol.values import ChatType, FileType
from qqchunk.transfer.arguments import (
    check_chat_type,
    check_count,
    check_credentials,
    check_file_type,
    check_number,
    check_policy,
    check_progress,
    check_timeout,
    check_url,
    masked_auth,
)

SECRET = "5ecret-of-the-bot"


class MemoryCache:
    def get(self, key: str) -> None:
        return None

    def set(self, key: str, value: Any, timeout: Any) -> None:
        pass

    def delete(self, key: str) -> None:
        pass


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    """Fail a test that makes a request: nothing is registered, and the count is looked at."""
    with responses.RequestsMock() as mock:
        yield
        assert len(mock.calls) == 0


@pytest.fixture
def uploader() -> Iterator[Uploader]:
    with Uploader("102", SECRET) as made:
        yield made


def make(**options: Any) -> None:
    arguments: Dict[str, Any] = {"app_id": "102", "client_secret": SECRET}
    arguments.update(options)
    Uploader(**arguments).close()


# The constructor


@pytest.mark.parametrize("options, kind, words", [
    (dict(app_id=None), ValueError, "an app_id and a client_secret are needed"),
    (dict(app_id=""), ValueError, "an app_id and a client_secret are needed"),
    (dict(client_secret=None), ValueError, "an app_id and a client_secret are needed"),
    (dict(client_secret=""), ValueError, "an app_id and a client_secret are needed"),
    (dict(app_id=1.5), TypeError, "app_id must be text or an int, not float"),
    (dict(app_id=True), TypeError, "app_id must be text or an int, not bool"),
    (dict(app_id=b"102"), TypeError, "app_id must be text or an int, not bytes"),
    (dict(client_secret=b"s"), TypeError, "client_secret must be text, not bytes"),
    (dict(client_secret=5), TypeError, "client_secret must be text, not int"),
    (dict(auth=print), ValueError, "give either a client_secret or auth, not both"),
    (dict(client_secret=None, auth="user"), TypeError, "auth must be a callable or a"),
    (dict(client_secret=None, auth=("a", "b", "c")), TypeError, "auth must be a callable or a"),
    (dict(client_secret=None, auth=["a", "b"]), TypeError, "auth must be a callable or a"),
    (dict(session="session"), TypeError, "session must be a requests.Session, not str"),
    (dict(session=requests), TypeError, "session must be a requests.Session, not module"),
    (dict(storage_session=5), TypeError, "storage_session must be a requests.Session, not int"),
    (dict(api_url=None), TypeError, "api_url must be text, not NoneType"),
    (dict(api_url=b"https://h"), TypeError, "api_url must be text, not bytes"),
    (dict(api_url=""), ValueError, r"api_url must be a complete http\(s\) URL"),
    (dict(api_url="api.sgroup.qq.com"), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://h/ "), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://h/\n"), ValueError, "api_url must be a complete http"),
    (dict(api_url="ftp://h"), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://"), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://:443"), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://h:0"), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://h:70000"), ValueError, "api_url must be a complete http"),
    (dict(api_url="https://[::1"), ValueError, "api_url must be a complete http"),
    (dict(token_url="bots.qq.com"), ValueError, "token_url must be a complete http"),
    (dict(token_url=5), TypeError, "token_url must be text, not int"),
    (dict(timeout=0), ValueError, "timeout must be over 0, not 0"),
    (dict(timeout=-1), ValueError, "timeout must be over 0, not -1"),
    (dict(timeout=(1, 0)), ValueError, "timeout must be over 0, not 0"),
    (dict(timeout=(0, 1)), ValueError, "timeout must be over 0, not 0"),
    (dict(timeout=float("nan")), ValueError, "timeout must be over 0, not nan"),
    (dict(timeout=float("inf")), ValueError, "timeout must be at most 1000000000 seconds$"),
    (dict(timeout=(1, 10 ** 9 + 1)), ValueError, "timeout must be at most 1000000000 seconds$"),
    pytest.param(dict(timeout=10 ** 400), ValueError, "timeout must be at most", id="huge"),
    (dict(timeout=(1, 2, 3)), ValueError, "timeout must be a number of seconds or a"),
    (dict(timeout=()), ValueError, "timeout must be a number of seconds or a"),
    (dict(timeout="10"), TypeError, "timeout must be a number, not str"),
    (dict(timeout=True), TypeError, "timeout must be a number, not bool"),
    (dict(timeout=[1, 2]), TypeError, "timeout must be a number, not list"),
    (dict(retries=-1), ValueError, "retries must be at least 0, not -1"),
    (dict(retries=1.0), TypeError, "retries must be an int, not float"),
    (dict(retries=True), TypeError, "retries must be an int, not bool"),
    (dict(retries=None), TypeError, "retries must be an int, not NoneType"),
    (dict(backoff=-0.1), ValueError, "backoff must be at least 0, not -0.1"),
    (dict(backoff=float("nan")), ValueError, "backoff must be at least 0, not nan"),
    (dict(backoff=float("inf")), ValueError, "backoff must be at most 1000000000 seconds$"),
    (dict(backoff="1"), TypeError, "backoff must be a number, not str"),
    (dict(backoff=None), TypeError, "backoff must be a number, not NoneType"),
    (dict(max_concurrency=0), ValueError, "max_concurrency must be at least 1, not 0"),
    (dict(max_concurrency="4"), TypeError, "max_concurrency must be an int, not str"),
    (dict(max_file_size=0), ValueError, "max_file_size must be at least 1, not 0"),
    (dict(max_file_size=2e8), TypeError, "max_file_size must be an int, not float"),
    (dict(cache={}), TypeError, r"cache must have set\(\)"),
    (dict(cache="redis://"), TypeError, r"cache must have get\(\)"),
    (dict(cache=object()), TypeError, r"cache must have get\(\)"),
    (dict(cache=MemoryCache), TypeError, r"cache must have get\(\), as .* SimpleCache\(\) do"),
    (dict(session=requests.Session), TypeError, "session must be a requests.Session, not type"),
    (dict(client_secret=None, auth=HTTPBasicAuth), TypeError, "auth must be"),
    (dict(app_id=None, client_secret=None, auth=print, cache=MemoryCache()), ValueError,
     "a cache needs the app_id"),
])
def test_wrong_setting_is_refused(
    options: Dict[str, Any], kind: Type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=f"^{words}"):
        make(**options)


@pytest.mark.parametrize("options", [
    dict(app_id=102), dict(app_id=0), dict(timeout=5), dict(timeout=0.1), dict(timeout=None),
    dict(timeout=(None, None)), dict(timeout=(1, None)),
    dict(timeout=10 ** 9), dict(retries=0), dict(backoff=0),
    dict(max_concurrency=1), dict(max_file_size=1), dict(cache=MemoryCache()),
    dict(api_url="http://127.0.0.1:8000/"), dict(api_url="HTTPS://api.bot.qq.com"),
    dict(app_id=None, client_secret=None, auth=("user", "word")),
    dict(app_id=None, client_secret=None, auth=print),
    dict(client_secret=None, auth=print, cache=MemoryCache()),
])
def test_usual_setting_is_taken(options: Dict[str, Any]) -> None:
    make(**options)


def test_callers_session_is_taken_and_left_open() -> None:
    with requests.Session() as session:
        closed = []
        setattr(session, "close", lambda: closed.append(1))
        make(session=session, storage_session=session)
        assert closed == []
        del session.close


@pytest.mark.parametrize("options", [
    dict(api_url="x"), dict(timeout="x"), dict(retries=-1), dict(cache={}), dict(session=5),
    dict(app_id=1.5), dict(app_id=None), dict(client_secret=SECRET.encode()),
    dict(client_secret=[SECRET]), dict(auth=print), dict(max_file_size=0), dict(token_url="x"),
    dict(client_secret=None, auth=("user", SECRET), api_url="x"),
], ids=lambda options: "-".join(options))
def test_failing_constructor_shows_no_secret(options: Dict[str, Any]) -> None:
    arguments: Dict[str, Any] = {"app_id": "102", "client_secret": SECRET}
    arguments.update(options)
    with pytest.raises((TypeError, ValueError)) as caught:
        Uploader(**arguments)
    shown = of_the_package(caught.value)
    assert "in __init__" in shown
    assert SECRET not in shown


def of_the_package(error: BaseException) -> str:
    """The traceback as error trackers print it, without the frames of this test."""
    trace = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True)
    trace.stack = traceback.StackSummary.from_list(
        [frame for frame in trace.stack if frame.filename != __file__])
    assert error.__context__ is None and error.__cause__ is None
    return "".join(trace.format())


@pytest.mark.parametrize("file_name", [b"a.bin", 5, pathlib.Path("a.bin")])
def test_file_name_that_is_no_text_is_a_type_error(file_name: Any) -> None:
    kind = type(file_name).__name__
    with Uploader("102", SECRET) as uploader:
        with pytest.raises(TypeError, match=f"^file_name must be text, not {kind}$"):
            uploader.upload("c2c", "OPENID", b"content", file_name=file_name)


def test_repr_shows_the_app_id_and_nothing_else() -> None:
    uploader = Uploader(102, SECRET)
    assert repr(uploader) == "<Uploader app_id=102>"
    uploader.close()
    assert repr(uploader) == "<Uploader app_id=102, closed>"
    with Uploader(auth=print) as uploader:
        assert repr(uploader) == "<Uploader app_id=None>"


# upload() and send()


GOOD: Dict[str, Any] = dict(chat_type="c2c", target_id="U1", file=b"content", file_name="a.bin")

WRONG_FOR_ALL = [
    (dict(chat_type="user"), ValueError, "chat_type must be"),
    (dict(chat_type=None), ValueError, "chat_type must be"),
    (dict(target_id=""), ValueError, "target_id must be"),
    (dict(target_id=".."), ValueError, "target_id must be"),
    (dict(target_id=None), TypeError, "target_id must be"),
    (dict(target_id=5), TypeError, "target_id must be"),
    (dict(file_type=0), ValueError, "file_type must be"),
    (dict(file_type=5), ValueError, "file_type must be"),
    (dict(file_type="image"), TypeError, "file_type must be"),
    (dict(file_name=5), TypeError, "file_name must be text"),
    (dict(cancel=True), TypeError, r"cancel must have is_set\(\)"),
    (dict(cancel=object()), TypeError, r"cancel must have is_set\(\)"),
    (dict(cancel=threading.Event), TypeError, r"cancel must .*Event\(\) does, not <class"),
    (dict(deadline="5"), TypeError, "deadline must be a number of seconds"),
    (dict(deadline=True), TypeError, "deadline must be a number of seconds"),
    (dict(deadline=float("nan")), ValueError, "deadline must be a number of seconds, not nan"),
]
WRONG_FILE = [
    (dict(file_name=None), ValueError, ".*file_name"),
    (dict(file=b""), ValueError, ".*empty"),
    (dict(file=None), TypeError, ""),
    (dict(file=5), TypeError, ""),
    (dict(file="https://h/a.png"), ValueError, ".*upload_url"),
    (dict(file=io.StringIO("text")), TypeError, ""),
    (dict(file="/nowhere/at/all"), FileNotFoundError, ""),
    (dict(progress=5), TypeError, "progress must be True or callable, not int"),
]
WRONG_MESSAGE = [
    (dict(content=5), TypeError, "content must be text, not int"),
    (dict(msg_id=5), TypeError, "msg_id must be text, not int"),
    (dict(event_id=b"E"), TypeError, "event_id must be text, not bytes"),
    (dict(msg_id="M", event_id="E"), ValueError, "a message replies to a msg_id or to an event_id"),
    (dict(msg_seq=-1), ValueError, "msg_seq must be at least 0, not -1"),
    (dict(msg_seq="1"), TypeError, "msg_seq must be an int, not str"),
    (dict(msg_seq=True), TypeError, "msg_seq must be an int, not bool"),
    (dict(file=UploadResult("f"), file_type=1, file_name=None), ValueError, "an UploadResult has"),
    (dict(file=UploadResult("f")), ValueError, "an UploadResult has"),
]


@pytest.mark.parametrize("changes, kind, words", WRONG_FOR_ALL + WRONG_FILE)
def test_wrong_argument_of_upload_is_refused(
    uploader: Uploader, changes: Dict[str, Any], kind: Type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=f"^{words}"):
        uploader.upload(**{**GOOD, **changes})


@pytest.mark.parametrize("changes, kind, words", WRONG_FOR_ALL + WRONG_FILE + WRONG_MESSAGE)
def test_wrong_argument_of_send_is_refused(
    uploader: Uploader, changes: Dict[str, Any], kind: Type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=f"^{words}"):
        uploader.send(**{**GOOD, **changes})


@pytest.mark.parametrize("changes, kind, words", WRONG_FOR_ALL + [
    (dict(url=None), TypeError, "url must be text, not NoneType"),
    (dict(url=5), TypeError, "url must be text, not int"),
    (dict(url=""), ValueError, "url must be a complete"),
    (dict(url="a.png"), ValueError, "url must be a complete"),
    (dict(url="ftp://h/a.png"), ValueError, "url must be a complete"),
    (dict(url="https:///a.png"), ValueError, "url must be a complete"),
])
def test_wrong_argument_of_upload_url_is_refused(
    uploader: Uploader, changes: Dict[str, Any], kind: Type[Exception], words: str
) -> None:
    good = {"chat_type": "c2c", "target_id": "U1", "url": "https://h.invalid/a.png"}
    with pytest.raises(kind, match=f"^{words}"):
        uploader.upload_url(**{**good, **changes})


def test_bad_url_does_not_show_its_signature(uploader: Uploader) -> None:
    with pytest.raises(ValueError) as caught:
        uploader.upload_url("c2c", "U1", f"ftp://h/a.png?sign={SECRET}")
    assert SECRET not in of_the_package(caught.value)


@pytest.mark.parametrize("target_id", ["", ".."])
def test_bad_target_for_a_file_that_is_there_is_refused(
    uploader: Uploader, target_id: str
) -> None:
    with pytest.raises(ValueError, match="target_id"):
        uploader.send("c2c", target_id, UploadResult("f"))


@pytest.mark.parametrize("call", [
    lambda uploader: uploader.upload(**GOOD),
    lambda uploader: uploader.send(**GOOD),
    lambda uploader: uploader.upload_url("c2c", "U1", "https://h.invalid/a.png"),
], ids=["upload", "send", "upload_url"])
def test_use_after_close_is_an_error(call: Callable[[Uploader], Any]) -> None:
    uploader = Uploader("102", SECRET)
    uploader.close()
    uploader.close()
    with pytest.raises(RuntimeError, match="^this Uploader is closed"):
        call(uploader)


# The checks by themselves


def test_credentials_become_text() -> None:
    assert check_credentials(102, "s", None) == ("102", "s")
    assert check_credentials("102", "s", None) == ("102", "s")
    assert check_credentials(None, None, print) == ("", "")
    assert check_credentials("102", None, print) == ("102", "")
    assert repr(check_credentials("102", SECRET, None)[1]) == "<secret>"


def test_pair_of_user_and_password_does_not_show() -> None:
    auth = masked_auth(("user", SECRET))
    request = requests.Request("POST", "https://h.invalid/", auth=auth).prepare()
    assert request.headers["Authorization"].startswith("Basic ")
    assert SECRET not in repr(auth)
    assert masked_auth(None) is None
    assert masked_auth(print) is print


@pytest.mark.parametrize("timeout, pair", [
    (5, (5.0, 5.0)), (0.5, (0.5, 0.5)), ((1, 2), (1.0, 2.0)), (None, (None, None)),
    ((None, 2), (None, 2.0)), ((1, None), (1.0, None)),
])
def test_timeout_becomes_a_pair(timeout: Any, pair: Any) -> None:
    assert check_timeout(timeout) == pair


def test_url_is_returned_as_it_is() -> None:
    for url in ("https://h", "http://h:1/p?q", "HTTP://[::1]/"):
        assert check_url("url", url) == url


def test_number_may_be_0_unless_it_must_be_above() -> None:
    assert check_number("n", 0) == 0.0
    assert type(check_number("n", 1)) is float
    assert check_number("n", 2.5, above=2.0) == 2.5
    for bad in (2.0, 1.9):
        with pytest.raises(ValueError):
            check_number("n", bad, above=2.0)


def test_count_may_be_the_least() -> None:
    assert check_count("n", 3, 3) == 3
    with pytest.raises(ValueError, match="^n must be at least 3, not 2$"):
        check_count("n", 2, 3)


def test_policy_has_the_numbers_it_was_given() -> None:
    policy = check_policy(7, 3)
    assert (policy.retries, policy.backoff) == (7, 3.0)


# What a call is told


@pytest.mark.parametrize("value, given", [
    (None, None), (False, None), (True, True), (print, print),
])
def test_progress_is_a_bar_a_callable_or_none(value: Any, given: Any) -> None:
    assert check_progress(value) is given


@pytest.mark.parametrize("value", [1, 0, "bar", [], object()])
def test_any_other_progress_is_refused(value: Any) -> None:
    kind = type(value).__name__
    with pytest.raises(TypeError, match=f"^progress must be True or callable, not {kind}$"):
        check_progress(value)


@pytest.mark.parametrize("value", [1, 2, 3, 4, FileType.VOICE])
def test_file_type_may_be_a_number(value: int) -> None:
    assert check_file_type(value) is FileType(value)


@pytest.mark.parametrize("value", [0, 5, -1, 10 ** 30])
def test_number_that_is_no_file_type_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="^file_type must be a FileType or 1-4, not ") as caught:
        check_file_type(value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", [True, "1", "image", 1.0, None, b"1", [1]])
def test_other_than_a_number_is_no_file_type(value: Any) -> None:
    with pytest.raises(TypeError, match="^file_type must be a FileType or 1-4, not "):
        check_file_type(value)


def test_chat_types_have_the_platforms_names() -> None:
    assert check_chat_type("c2c") is ChatType.C2C
    assert check_chat_type("group") is ChatType.GROUP
    assert check_chat_type(ChatType.GROUP) is ChatType.GROUP


@pytest.mark.parametrize("value", ["C2C", "user", "users", "groups", "channel", "", None, 1, []])
def test_unknown_chat_type_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="^chat_type must be 'c2c' or 'group', not ") as caught:
        check_chat_type(value)
    assert caught.value.__context__ is None
