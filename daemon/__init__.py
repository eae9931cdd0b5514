"""Files in, files out, for ever.

The way of a job, to be read in this order:

    inbox/watcher    a hint that something moves in an inbox
    folder/worker    the thread of its hot folder scans
    inbox/inbox      scan, settle, read, plan
    inbox/scan       one listing
    inbox/settle     what has stopped changing
    inbox/reader     what that says
    inbox/plan       the state of each file, and the candidates
    service/loop     the one thread that decides
    jobs/scheduler   the hot folder that claims next
    folder/executor  the commands on its files
    spool/spool      its claim
    jobs/runner      from reply to reply, with the pixel workers
    jobs/editing     the editor's side
    spool/publisher  its results, the receipt last
    jobs/completion  the history

A package imports only from rows below its own (tests/house/test_layout.py):

    cli
    commands
    app, install
    service
    jobs
    context
    folder
    workers, spool, control
    inbox, lease
    supervision
    events
    history, fs
    clock, job
"""


def own_version() -> str:
    """The version of Hotfolder."""
    # Imported here: every command imports this package, and few need what takes 20 ms.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("hotfolder")
    except PackageNotFoundError:  # a bare checkout
        return "unknown"
