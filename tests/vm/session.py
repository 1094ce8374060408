"""session - one run of a test machine: start QEMU, talk to it, wait for its end.

The runner listens on three sockets before QEMU starts and connects to them: "report"
brings the guest's lines, "host" its requests, "qmp" is QEMU's own control. A fourth,
"console", is the first serial port. All is done in one thread, in one select loop.
"""

import json
import os
import selectors
import socket
import subprocess
import time

import machine

REQUEST_SECONDS = 60


class Session:
    """Runs one machine; listener gets what the guest says.

    listener.line(text)      a line on the report port
    listener.console(bytes)  output on the serial console
    listener.deadline()      monotonic time at which to give up, or None
    listener.cut_at()        monotonic time at which the machine is to lose its power, or
                             None. It does then, not when it has just said something.
    listener.last_seconds(n) it has passed: the next one is to be in n seconds, for
                             finding out where the processors are
    """

    def __init__(self, directory, argv, listener, log, interactive=False):
        self._dir = directory
        self._argv = argv
        self._listener = listener
        self._interactive = interactive # QEMU gets our terminal for its console
        self._log = log                 # {"console": file, "report": file, "qemu": file}
        self._select = selectors.DefaultSelector()
        self._buffers = {}
        self._conns = {}
        self._qemu = None
        self._qmp_pending = []          # callbacks for QMP answers, oldest first
        self._at = []                   # (monotonic time, what to do then)
        self._waiting_deleted = None    # (device id, monotonic deadline)
        self.timed_out = False

    def _listen(self, name):
        path = f"{self._dir}/{name}"
        if os.path.exists(path):
            os.unlink(path)     # of the boot before
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(path)
        s.listen(1)
        self._select.register(s, selectors.EVENT_READ, ("accept", name))

    def run(self):
        """Returns QEMU's exit status (negative: signal)."""
        names = ["report", "host", "qmp"]
        # Warnings about what an emulated processor has not are nobody's at a prompt.
        streams = {"stderr": self._log["qemu"]}
        if not self._interactive:
            names.append("console")
            streams |= {"stdin": subprocess.DEVNULL, "stdout": self._log["qemu"]}
        for name in names:
            self._listen(name)
        # No machine outlives the thread that runs it.
        self._qemu = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self._argv],
                                      **streams)
        try:
            self._loop()
        finally:
            if self._qemu.poll() is None:
                self._qemu.kill()
            self._qemu.wait()
            self._drain()
            for key in list(self._select.get_map().values()):
                key.fileobj.close()
            self._select.close()
        return self._qemu.returncode

    def _loop(self):
        while self._qemu.poll() is None:
            wait = 0.2
            cut_at = self._listener.cut_at()
            if cut_at is not None:
                wait = min(wait, cut_at - time.monotonic())
                if wait <= 0:
                    self._qemu.kill()
                    return
            deadline = self._listener.deadline()
            if deadline is not None and time.monotonic() > deadline:
                if self.timed_out:
                    self._qemu.kill()
                    return
                self.timed_out = True
                self._ask_where_it_hangs()
            if self._waiting_deleted and time.monotonic() > self._waiting_deleted[1]:
                self._waiting_deleted = None
                self._answer("the guest did not let the device go")
            while self._at and time.monotonic() > self._at[0][0]:
                self._at.pop(0)[1]()
            for key, _ in self._select.select(timeout=wait):
                self._ready(key.fileobj, *key.data)

    def _drain(self):
        """What QEMU wrote before it ended."""
        while True:
            events = self._select.select(timeout=0)
            events = [e for e in events if e[0].data[0] == "read"]
            if not events:
                break
            for key, _ in events:
                self._ready(key.fileobj, *key.data)

    def _ready(self, sock, what, name):
        if what == "accept":
            conn, _ = sock.accept()
            self._select.unregister(sock)
            sock.close()
            self._conns[name] = conn
            self._buffers[name] = b""
            self._select.register(conn, selectors.EVENT_READ, ("read", name))
            return
        try:
            data = sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self._select.unregister(sock)
            sock.close()
            return
        if name == "console":
            self._log["console"].write(data)
            self._listener.console(data)
            return
        lines = (self._buffers[name] + data).split(b"\n")
        self._buffers[name] = lines.pop()
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if name == "report":
                self._log["report"].write(line + b"\n")
                self._listener.line(text)
            elif name == "host":
                self._request(text)
            else:
                self._qmp_line(json.loads(text))

    def _ask_where_it_hangs(self):
        """Into the logs: tasks that wait, what the processors do, their registers."""
        def magic(key):
            # A break and a key on the serial console are the kernel's magic SysRq.
            self._qmp("chardev-send-break", {"id": "console"},
                      lambda reply: self._conns["console"].sendall(key))

        def write(reply):
            self._log["qemu"].write(str(reply.get("return", reply)).encode() + b"\n")

        self._listener.last_seconds(15)
        if "qmp" in self._conns and "console" in self._conns:
            self._qmp("human-monitor-command", {"command-line": "info registers -a"}, write)
            magic(b"w")
            self._at = [(time.monotonic() + 5, lambda: magic(b"l"))]

    # --- requests from the guest ------------------------------------------------------

    def _answer(self, text):
        self._conns["host"].sendall(text.encode() + b"\n")

    def _request(self, text):
        words = text.split()
        self._log["report"].write(b"@host " + text.encode() + b"\n")
        if words == ["ping"]:
            self._answer("ok")
        elif len(words) == 2 and words[0] == "unplug" and words[1] in machine.REPLUG:
            self._waiting_deleted = (words[1], time.monotonic() + REQUEST_SECONDS)
            self._qmp("device_del", {"id": words[1]}, self._unplug_started)
        elif len(words) == 2 and words[0] == "plug" and words[1] in machine.REPLUG:
            self._qmp("device_add", machine.REPLUG[words[1]],
                      lambda reply: self._answer(_outcome(reply)))
        else:
            self._answer(f"unknown request: {text}")

    def _unplug_started(self, reply):
        if "error" in reply:
            self._waiting_deleted = None
            self._answer(_outcome(reply))

    # --- QMP --------------------------------------------------------------------------

    def _qmp(self, command, arguments, then):
        self._qmp_pending.append(then)
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self._conns["qmp"].sendall(json.dumps(message).encode() + b"\n")

    def _qmp_line(self, message):
        if "QMP" in message:
            self._qmp("qmp_capabilities", None, lambda reply: None)
        elif "event" in message:
            data = message.get("data", {})
            waiting = self._waiting_deleted
            if message["event"] == "DEVICE_DELETED" and waiting and \
                    data.get("device") == waiting[0]:
                self._waiting_deleted = None
                self._answer("ok")
        elif self._qmp_pending:
            self._qmp_pending.pop(0)(message)


def _outcome(reply):
    return reply["error"]["desc"] if "error" in reply else "ok"
