#!/bin/sh
# Start the unpacked image as its user on a read-only root, and ask it the questions that an
# orchestrator and a person ask. Called by build_image.sh inside namespaces of its own.
set -eu
root=$1
engine=${2:-ncnn}
user=10001

mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
for device in null zero urandom random; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ip link set lo up 2>/dev/null || python3 - <<'PY'
# iproute2 is not there: raise the loopback by ioctl (SIOCSIFFLAGS, IFF_UP).
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
PY

# As the image's user, without capabilities. chroot needs one: enter first, drop then.
# By exec, so that a signal reaches the program itself: call it in a subshell.
run() {
  exec chroot "$root" /usr/bin/env -i PATH=/opt/venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 BRAIN_CNN_ENGINE="$engine" \
    BRAIN_CNN_BIND=0.0.0.0:8000 \
    /usr/bin/setpriv --reuid $user --regid $user --clear-groups --bounding-set=-all \
    --inh-caps=-all --no-new-privs /bin/sh -c "cd /app && $1"
}
run 'exec gunicorn --config gunicorn.conf.py' &
server=$!
(run 'exec python -') <<'PY'
import io, json, os, sys, time, urllib.error, urllib.request

URL = "http://127.0.0.1:8000"
start = time.monotonic()
while True:
    try:
        answer = urllib.request.urlopen(URL + "/readyz", timeout=5)
        break
    except (urllib.error.URLError, OSError):
        if time.monotonic() - start > 60:
            sys.exit("not ready after 60 s")
        time.sleep(0.05)
print("readyz", answer.status, answer.read(300).decode())

from PIL import Image, ImageDraw
picture = Image.new("L", (256, 256))
ImageDraw.Draw(picture).ellipse((60, 40, 200, 220), fill=150)
file = io.BytesIO()
picture.save(file, "JPEG")
body = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n" + file.getvalue() + b"\r\n--b--\r\n"
)
request = urllib.request.Request(
    URL + "/api/v1/predict", body, {"Content-Type": "multipart/form-data; boundary=b"}
)
result = json.load(urllib.request.urlopen(request, timeout=10))["results"][0]
print("predict", {k: result[k] for k in ("label", "verdict", "model")})
assert abs(sum(result["probabilities"].values()) - 1) < 1e-6
for path in ("/", "/healthz", "/metrics", "/api/v1/openapi.json"):
    with urllib.request.urlopen(URL + path, timeout=5) as page:
        print(path, page.status, len(page.read()), "bytes")
print("user", os.getuid(), "group", os.getgid())
try:
    open("/app/written", "w")
    sys.exit("the root file system can be written")
except OSError as error:
    print("root file system:", error.strerror)
workers = [p for p in os.listdir("/proc") if p.isdigit()]
for pid in workers:
    with open(f"/proc/{pid}/cmdline") as line, open(f"/proc/{pid}/status") as status:
        if "gunicorn" in line.read():
            facts = dict(l.split(":", 1) for l in status if ":" in l)
            print("gunicorn", "uid", facts["Uid"].split()[0], "CapEff", facts["CapEff"].strip(),
                  "VmRSS", facts["VmRSS"].strip())
            assert facts["Uid"].split()[0] == "10001" and int(facts["CapEff"], 16) == 0
PY
kill -TERM $server
wait $server && echo "stopped by SIGTERM, exit 0"
