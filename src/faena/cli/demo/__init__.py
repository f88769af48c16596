"""`faena demo`: real work for the queue, with nothing to set up.

Every module of this machine's Python standard library is analysed by a worker of its own, on the embedded database.

- `analysis`  what is known of one module; pure
- `survey`    what is known of all of them together; pure
- `page`      the survey as one HTML file; pure
- `tasks`     the app and its task
- `ledger`    counts executions, so that "nothing was repeated" is a figure and no claim
- `folder`    where a run lives on disk, and which files it is about
- `embedded`  the worker, which ends when the demo ends, however that ends
- `progress`  what the terminal shows meanwhile
- `run`       sends, watches, stops, resumes
- `command`   the options and the exit code
"""
