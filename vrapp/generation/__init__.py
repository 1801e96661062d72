"""Every inference of the running program: requests in, meshes out.

The main process uses ``service``, ``bank``, ``startset`` and ``export``, none of which imports torch;
``worker``, ``maker``, ``device`` and ``surface`` run in the worker process.
"""
