"""An old script: ``python script.py OPENID FILE`` sends a file and prints the message's id."""

import os
import sys

from qqchunk import Uploader

uploader = Uploader(os.environ["QQ_BOT_APP_ID"], os.environ["QQ_BOT_CLIENT_SECRET"])
print(uploader.send("c2c", sys.argv[1], sys.argv[2])["id"])
