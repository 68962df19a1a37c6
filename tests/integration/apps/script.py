"""An old script: ``python script.py OPENID FILE`` sends a file and prints the message's id."""

import sys

from qqchunk import Uploader

uploader = Uploader.from_env()
print(uploader.send("c2c", sys.argv[1], sys.argv[2])["id"])
