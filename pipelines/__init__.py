"""One program a file; see `roots`."""

from roots_tf import notices

notices.hide()
