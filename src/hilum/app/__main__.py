"""``python -m hilum.app``: how the supervisor starts the platform's processes."""

from hilum.app import main

main()
