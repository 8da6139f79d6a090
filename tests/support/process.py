"""What a process takes: memory, descriptors, threads, processor time."""
import os
import pathlib


class Sample:
    """What /proc says of one process now."""

    def __init__(self, pid):
        status = dict(line.split(":", 1) for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines())
        fields = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
        self.rss_kib = int(status["VmRSS"].split()[0])
        self.anonymous_kib = int(status["RssAnon"].split()[0])
        self.fds = len(os.listdir("/proc/%d/fd" % pid))
        self.threads = int(status["Threads"])
        self.cpu_seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __str__(self):
        return "%.1f MiB resident, %d descriptors, %d threads, %.2f s of CPU" % (
            self.rss_kib / 1024, self.fds, self.threads, self.cpu_seconds)
