"""Send files of any size to QQ chats from synchronous Python, through the chunked upload."""

__version__ = "0.1.0"
