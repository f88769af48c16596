"""Task files of other tools: their tasks are listed with ours, and run by their own tool.

Each module has `read(folder, start)`: the tasks of its file in `folder`, or nothing when there is no such file.
"""
