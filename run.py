"""Start vrapp from a checkout: `python3 run.py`. Needs Python 3.11 and nothing else.

The first start makes `.venv` beside this file, installs the project into it and, on Linux, sees to the
system's OpenGL. Later starts go straight in. `python3 run.py test` does the same for the tests. What
pip says goes to `.cache/setup.log`.

Only the standard library is used, and only syntax that an older Python reads as well, so that it can say
that it is too old.
"""

import ctypes
import glob
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time

OLDEST = (3, 11)
HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
STAMP = os.path.join(VENV, "vrapp-setup.txt")  # written last: without it the environment is not complete
CACHE = os.path.join(HERE, ".cache")
LOG = os.path.join(CACHE, "setup.log")
WINDOWS = os.name == "nt"
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if WINDOWS else os.path.join(VENV, "bin", "python")
UNFINISHED = "unfinished\n"

GL_LIBRARIES = ("libEGL.so.1", "libGL.so.1", "libX11.so.6", "libXext.so.6")
WINDOW_LIBRARIES = ("libXcursor.so.1", "libXi.so.6", "libXrandr.so.2", "libXinerama.so.1")
GL_APT = (
    "libegl1 libgl1 libgl1-mesa-dri libglx-mesa0 libopengl0 libx11-6 libxext6 "
    "libxcursor1 libxi6 libxrandr2 libxinerama1 libxkbcommon0"
)
GL_COMMANDS = {
    "apt-get": "apt-get install -y " + GL_APT,
    "dnf": "dnf install -y mesa-dri-drivers mesa-libEGL mesa-libGL libXcursor libXi libXrandr libXinerama",
    "pacman": "pacman -S mesa libglvnd libxcursor libxi libxrandr libxinerama",
}


class SetupError(Exception):
    """The machine lacks something; the text says what to do."""


def main(words):
    """Set up what is missing, then become the program. Returns an exit code where that is not possible."""
    if sys.version_info[:2] < OLDEST:
        return refuse_old_python()
    if words[:1] == ["check-gl"]:
        return check_gl()
    testing = words[:1] == ["test"]
    learning = words[:2] in (["train", "objects"], ["evaluate", "objects"])
    try:
        set_up("test" if testing else "train" if learning else "")
    except SetupError as e:
        say(str(e))
        return 2
    except KeyboardInterrupt:
        say("Interrupted; the next start goes on from here.")
        return 130
    os.environ["VRAPP_PROGRAM"] = ("python " if WINDOWS else "python3 ") + sys.argv[0]
    if testing:
        os.chdir(HERE)
        return become([PYTHON, "-P", "-m", "pytest", "-m", "not slow", *words[1:]])
    return become([PYTHON, "-P", "-m", "vrapp", *words])


def refuse_old_python():
    """One sentence, with the name of a newer Python where there is one."""
    newer = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)]
    remedy = f"run '{newer[0]} run.py'" if newer else "install a newer one"
    say(f"vrapp needs Python 3.11 or newer and this is {sys.version_info[0]}.{sys.version_info[1]}; {remedy}.")
    return 2


def say(text):
    """Progress and complaints go to stderr: stdout belongs to the program."""
    print(text, file=sys.stderr, flush=True)


def become(command):
    """Replace this process by the program, so that signals and exit codes are its own."""
    sys.stdout.flush()
    if not WINDOWS:
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # Ctrl-C went to the child too, which decides
            pass


def set_up(extra):
    """Return once `.venv` holds the project, and `extra` of it, as pyproject.toml has it now."""
    try:
        if is_ready(extra):
            return
        os.makedirs(CACHE, exist_ok=True)
        with open(os.path.join(CACHE, "setup.lock"), "a+") as lock:
            wait_for(lock)
            if not is_ready(extra):
                make_ready(sorted({extra, *stamped_extras()} - {""}), lock)
    except OSError as e:
        where = e.filename or HERE
        raise SetupError(f"{where}: {e.strerror}; copy the whole project to a folder of yours with room.") from None


def make_ready(extras, lock):
    """The set-up itself. Raises SetupError or OSError."""
    started = time.time()
    say("Setting up in .venv; this takes some minutes, once. Details: " + LOG)
    with open(LOG, "w", encoding="utf-8") as log:
        make_environment(log, lock)
        install_project(log, lock, extras)
        if sys.platform.startswith("linux"):
            provide_gl(log, lock)
    write_stamp(wanted(extras) + "\n".join(site_packages()) + "\n")
    say(f"Set up in {time.time() - started:.0f} s.")


def wanted(extras):
    """All that the environment depends on. It can't be moved, and ends with the Python it was made from."""
    with open(os.path.join(HERE, "pyproject.toml"), encoding="utf-8") as project:
        return "\n".join([VENV, os.path.realpath(PYTHON), " ".join(extras), project.read(), "packages:", ""])


def is_ready(extra):
    """True where the stamp says so and what it names is still there. No process is started for this."""
    stamp = read_stamp()
    if not stamp or stamp == UNFINISHED or not os.path.isfile(PYTHON):
        return False
    extras = stamped_extras()
    expected = wanted(extras)
    if (extra and extra not in extras) or not stamp.startswith(expected):
        return False
    return set(stamp[len(expected) :].split("\n")) <= {"", *site_packages()}


def site_packages():
    """Names of the packages in the environment, without versions: users may update one, such as torch."""
    names = []
    for folder in glob.glob(os.path.join(VENV, "Lib" if WINDOWS else "lib/python*", "site-packages")):
        names += [n for n in os.listdir(folder) if re.match(r"[A-Za-z_]\w*(\.py)?$", n) and n != "__pycache__"]
    return sorted(names)


def stamped_extras():
    """Extras that were installed before: they stay when the project changes."""
    lines = read_stamp().split("\n")
    return lines[2].split() if len(lines) > 3 else []


def read_stamp():
    """The stamp's text, empty where there is none."""
    try:
        with open(STAMP, encoding="utf-8") as stamp:
            return stamp.read()
    except (OSError, UnicodeDecodeError):
        return ""


def write_stamp(text):
    """All or nothing."""
    with open(STAMP + ".part", "w", encoding="utf-8") as part:
        part.write(text)
    os.replace(STAMP + ".part", STAMP)


def wait_for(lock):
    """Take the lock; whoever starts a second time meanwhile waits."""
    if not try_lock(lock):
        say("Another start is setting up; waiting for it.")
        while not try_lock(lock):
            time.sleep(0.5)


def try_lock(lock):
    """Take the lock if it is free. On a file system without locks, go on without."""
    try:
        if WINDOWS:
            import msvcrt

            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def make_environment(log, lock):
    """Make `.venv`, or make it again where it is half made or broken. One that works is kept."""
    stamp = read_stamp()
    if stamp != UNFINISHED and has_pip(log):
        if stamp:  # somebody's own environment gets none before it is complete: it is never ours to remove
            write_stamp(UNFINISHED)
        return
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        raise SetupError("The environment .venv is broken and runs this very program: start with the system's python3.")
    if not (importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")):
        provide_venv_module(log, lock)
    clear_away(stamp)
    say("  making the environment")
    os.mkdir(VENV)
    write_stamp(UNFINISHED)
    maker = getattr(sys, "_base_executable", None) or sys.executable
    if run([maker, "-m", "venv", VENV], log, lock):
        raise SetupError(last_lines("The environment could not be made in " + VENV))


def has_pip(log):
    """True where the environment's Python starts and has pip."""
    try:
        return subprocess.call([PYTHON, "-m", "pip", "--version"], stdout=log, stderr=log) == 0
    except OSError:
        return False


def clear_away(stamp):
    """Remove an environment that run.py made; what somebody else made is moved aside."""
    if stamp and not os.path.islink(VENV):
        shutil.rmtree(VENV)
    elif os.path.lexists(VENV):
        aside = f"{VENV}-before-{int(time.time())}"
        os.rename(VENV, aside)
        say(f"  .venv did not work and run.py had not made it: it is now {aside}")


def provide_venv_module(log, lock):
    """Debian and Ubuntu ship Python without it."""
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if not may_apt():
        raise SetupError(f"Python's venv module is missing; install it with 'sudo apt-get install {package}'.")
    say(f"  installing {package}")
    apt(package, log, lock)
    importlib.invalidate_caches()


def install_project(log, lock, extras):
    """pip, twice: first what builds the project, so that a later change needs no network for it."""
    import tomllib

    with open(os.path.join(HERE, "pyproject.toml"), "rb") as project:
        backend = tomllib.load(project)["build-system"]["requires"]
    place = HERE + ("[{}]".format(",".join(extras)) if extras else "")
    pip = [PYTHON, "-m", "pip", "install", "--no-warn-script-location", "--no-compile"]
    for more in ([*backend, "editables"], ["--no-build-isolation", "--editable", place]):
        if run([*pip, *more], log, lock, tell_pip):
            raise SetupError(last_lines("The packages could not be installed"))


def tell_pip(line):
    """The lines of pip's that a user wants to see, in few words; None for the rest."""
    got = re.match(r"\s*(?:Downloading|Using cached) ([A-Za-z0-9_.]+?)-\d\S* \((\d[\d.]* [MG]B)\)", line)
    if got:
        return f"  getting {got.group(1)}, {got.group(2)}" if float(got.group(2).split()[0]) >= 5 else None
    installing = re.match(r"Installing collected packages: (.*)", line)
    return f"  installing {installing.group(1).count(',') + 1} packages" if installing else None


def run(command, log, lock, tell=lambda line: None):
    """Run a command with its output in the log; `tell` picks what the user sees. Returns the exit code.

    The lock goes to the child as well: should this process be killed, the next start waits for the child.
    """
    inherited = {} if WINDOWS else {"pass_fds": (lock.fileno(),)}
    log.write("\n$ " + " ".join(command) + "\n")
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=quiet_environment(),
        encoding="utf-8", errors="replace", **inherited,
    )  # fmt: skip
    done = threading.Event()
    threading.Thread(target=say_that_it_goes_on, args=(done,), daemon=True).start()
    try:
        for line in child.stdout:
            log.write(line)
            log.flush()
            told = tell(line)
            if told:
                say(told)
        return child.wait()
    finally:
        done.set()
        if child.poll() is None:
            child.terminate()
        child.wait()


def say_that_it_goes_on(done):
    """A line now and then, so that a long download does not look like a hang."""
    started = time.time()
    while not done.wait(30):
        say(f"  still at it after {time.time() - started:.0f} s")


def quiet_environment():
    """This process's, without pip settings that would install somewhere else, and without questions."""
    dropped = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore")
    kept.update(DEBIAN_FRONTEND="noninteractive", PYTHONUNBUFFERED="1")
    return kept


def last_lines(what):
    """A sentence, the end of the log, and where the rest is."""
    with open(LOG, encoding="utf-8", errors="replace") as log:
        lines = [line.rstrip() for line in log if line.strip()]
    return "{}; all is in {}, which ends:\n{}".format(what, LOG, "\n".join("  " + line for line in lines[-6:]))


def provide_gl(log, lock):
    """Install what is missing of OpenGL, or say how; the program itself says it again when it needs it."""
    missing = gl_problem()
    if missing and may_apt():
        say(f"  installing OpenGL ({missing})")
        apt(GL_APT, log, lock)
        missing = gl_problem()
    if missing:
        command = next((GL_COMMANDS[manager] for manager in GL_COMMANDS if shutil.which(manager)), None)
        remedy = f"to install it: sudo {command}" if command else "install Mesa's EGL, GL and DRI drivers"
        say(f"OpenGL does not work here ({missing}); {remedy}")


def gl_problem():
    """What of OpenGL is missing, in words; empty where it works. In a process of its own: drivers crash."""
    try:
        check = subprocess.run(
            [sys.executable, os.path.abspath(__file__), "check-gl"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            encoding="utf-8", errors="replace", timeout=60, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "its driver does not answer"
    if check.returncode == 0:
        return ""
    return check.stdout.strip() or f"its driver crashed ({check.returncode})"


def check_gl():
    """Load the libraries and really start EGL. Prints the problem; 1 where there is one."""
    libraries = GL_LIBRARIES + (WINDOW_LIBRARIES if os.environ.get("DISPLAY") else ())
    for name in libraries:
        try:
            ctypes.CDLL(name)
        except OSError:
            print(name + " is missing")
            return 1
    egl = ctypes.CDLL("libEGL.so.1")
    egl.eglGetProcAddress.restype = egl.eglGetDisplay.restype = ctypes.c_void_p
    displays = [egl.eglGetDisplay(None)]
    platform_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if platform_display:
        get = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(platform_display)
        displays.insert(0, get(0x31DD, None, None))  # EGL_PLATFORM_SURFACELESS_MESA: no window system
    for display in filter(None, displays):
        opened = egl.eglInitialize(ctypes.c_void_p(display), None, None)
        if opened and egl.eglBindAPI(0x30A2):  # EGL_OPENGL_API
            return 0
    print("EGL finds no driver")
    return 1


def may_apt():
    """True where this process may install Debian packages."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and bool(shutil.which("apt-get"))


def apt(packages, log, lock):
    """Install Debian packages. The list may be older than the packages, hence the second try."""
    install = [
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
        "install",
        "-y",
        "--no-install-recommends",
        *packages.split(),
    ]
    if run(install, log, lock):
        run(["apt-get", "update"], log, lock)
        if run(install, log, lock):
            say(last_lines(f"apt-get could not install {packages}"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
