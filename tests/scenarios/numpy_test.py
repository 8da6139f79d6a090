#!/usr/bin/env python3
"""Fields between mfnd and the real NumPy, as .npy in both directions; and a run that goes on from a
snapshot in another server process."""
import base64
import subprocess
import sys

from mfnd import Mfnd, RpcError, run_tests

SERVER = 'server: {listen: "127.0.0.1:0", state_dir: "{dir}/state", plugin_dirs: ["{plugins}"]}\n'
RUN = "mfn.v1.SimulationService/Run"
# Debian's, which has the python3-numpy that deploy/deps installs.
PYTHON = "/usr/bin/python3"


def numpy(code, data=b""):
    """Runs code with NumPy as np, `data` as given and `put` for what comes back, both bytes."""
    prelude = "import io, sys\nimport numpy as np\ndata = sys.stdin.buffer.read()\nput = sys.stdout.buffer.write\n"
    done = subprocess.run([PYTHON, "-c", prelude + code], input=data, capture_output=True)
    assert done.returncode == 0, "NumPy (deploy/deps test installs it): %s" % done.stderr.decode()[-500:]
    return done.stdout


def text(data):
    return base64.b64encode(data).decode()


def untimed(result):
    result.pop("timing")
    return result


def test_numpy_reads_what_we_write():
    request = {"seed": 5, "grid_size": 24, "steps": 6, "include_field": True, "include_history": True}
    with Mfnd(SERVER) as server:
        raw = server.call(RUN, request)
        npy = server.call(RUN, {**request, "field_encoding": "FIELD_ENCODING_NPY"})
    for name, shape in (("field", "(24, 24)"), ("history", "(6, 24, 24)")):
        file = base64.b64decode(npy[name]["data"])
        assert npy[name]["encoding"] == "FIELD_ENCODING_NPY"
        # The values, and the very bytes that NumPy would have written.
        assert numpy("a = np.load(io.BytesIO(data))\nassert a.dtype == np.float64 and a.flags.c_contiguous\n"
                     "assert a.shape == %s\nput(a.tobytes())" % shape, file) == base64.b64decode(raw[name]["data"])
        assert numpy("np.save(sys.stdout.buffer, np.load(io.BytesIO(data)))", file) == file


def test_we_read_what_numpy_writes():
    make = "a = np.random.default_rng(1).normal(-0.07, 0.005, (16, 16))\n"
    request = {"seed": 5, "grid_size": 16, "steps": 5}
    shape = {"rows": 16, "cols": 16}
    with Mfnd(SERVER) as server:
        def run(**fields):
            return untimed(server.call(RUN, {**request, **fields}))

        raw = text(numpy(make + "put(a.tobytes())"))
        expected = run(initial_field={**shape, "data": raw}, initial_activator={**shape, "data": raw})
        for save in ("np.save(sys.stdout.buffer, a)",
                     "np.lib.format.write_array(sys.stdout.buffer, a, version=(2, 0))",
                     "np.lib.format.write_array(sys.stdout.buffer, a, version=(3, 0))"):
            field = {"encoding": "FIELD_ENCODING_NPY", "data": text(numpy(make + save))}
            assert run(initial_field=field, initial_activator=field) == expected, save
        # float32 is widened.
        narrow = make + "a = a.astype('<f4')\n"
        wide = text(numpy(narrow + "put(a.astype('<f8').tobytes())"))
        field = {"encoding": "FIELD_ENCODING_NPY", "data": text(numpy(narrow + "np.save(sys.stdout.buffer, a)"))}
        assert run(initial_field=field) == run(initial_field={**shape, "data": wide})


def test_what_we_cannot_read_is_told_with_the_remedy():
    save = "np.save(sys.stdout.buffer, %s)"
    cases = {"np.asfortranarray(np.arange(256.0).reshape(16, 16))": "ascontiguousarray",
             "np.zeros((16, 16), '>f8')": "astype('<f8')",
             "np.zeros((16, 16), int)": "astype('<f8')",
             "np.zeros((16, 16), [('a', '<f8')])": "astype('<f8')",
             "np.zeros(256)": "(N, N)",
             "np.zeros((8, 8))": "8 x 8, must be 16 x 16",
             "np.full((16, 16), np.nan)": "finite"}
    with Mfnd(SERVER) as server:
        for array, remedy in cases.items():
            field = {"encoding": "FIELD_ENCODING_NPY", "data": text(numpy(save % array))}
            try:
                server.call(RUN, {"grid_size": 16, "initial_inhibitor": field})
                raise AssertionError("%s was accepted" % array)
            except RpcError as error:
                assert remedy in str(error) and "initial_inhibitor" in str(error), (array, str(error))


def test_a_snapshot_outlives_the_server():
    for extra in ({}, {"precision": "PRECISION_FAST", "quantum_jitter": True}):
        request = {"seed": 7, "grid_size": 48, **extra}
        with Mfnd(SERVER) as server:
            whole = server.call(RUN, {**request, "steps": 40, "include_field": True})
            first = server.call(RUN, {**request, "steps": 13, "include_snapshot": True})
        with Mfnd(SERVER) as server:
            resumed = server.call(RUN, {"steps": 27, "resume_from": first["snapshot"], "include_field": True})
            assert untimed(resumed) == untimed(whole), extra
            first["snapshot"]["engine_revision"] = "mfn-4.1-f64-1"
            try:
                server.call(RUN, {"resume_from": first["snapshot"]})
                raise AssertionError("a snapshot of another revision was accepted")
            except RpcError as error:
                assert "REVISION_MISMATCH" in str(error) or "mfn-4.1-f64-1" in str(error), str(error)


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
