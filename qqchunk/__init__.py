"""Send files of any size to QQ chats from synchronous Python, through the chunked upload."""

import logging

from .errors import ApiError as ApiError
from .errors import AuthenticationError as AuthenticationError
from .errors import PartFinishTimeoutError as PartFinishTimeoutError
from .errors import PartUploadError as PartUploadError
from .errors import ProtocolError as ProtocolError
from .errors import SourceChangedError as SourceChangedError
from .errors import TransportError as TransportError
from .errors import UploadCancelledError as UploadCancelledError
from .errors import UploadDailyLimitExceededError as UploadDailyLimitExceededError
from .errors import UploadDeadlineError as UploadDeadlineError
from .errors import UploadError as UploadError
from .errors import UploadFileTooLargeError as UploadFileTooLargeError
from .errors import format_size as format_size
from .hashing import FileHashes as FileHashes
from .hashing import hash_file as hash_file
from .names import ChatType as ChatType
from .names import FileType as FileType
from .progress import Progress as Progress
from .protocol import UploadResult as UploadResult
from .uploader import Uploader as Uploader

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())
