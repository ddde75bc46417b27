"""``python -m hilum.app``: how the supervisor starts the platform's processes."""

from hilum.app.commands import main

main()
