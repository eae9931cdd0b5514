#!/bin/bash
# Boots a real systemd as process 1 of namespaces of its own, on a throw-away overlay of this
# machine's root, says "ready PID" and goes on until its standard input ends; then all is gone.
#   bed.sh [SOURCE:TARGET]...     further folders, mounted at TARGET inside
# Needs root, util-linux, iproute2 and systemd. Nothing outside a temporary folder and a cgroup of
# its own is written to; the bed dies with this script, however that ends.
set -u
export BINDS="$*" SIZE="${SIZE:-2g}"
W=$(mktemp -d /tmp/hotfolder-bed.XXXXXX); mkdir "$W/mount"
CG2=$(findmnt -n -o TARGET -t cgroup2 | head -1); OWN=
if [ -z "$CG2" ]; then CG2=$W/cgroup2; mkdir "$CG2"; mount -t cgroup2 cgroup2 "$CG2"; OWN=1; fi
GROUPS_OF_US="$CG2/$(basename "$W")"
# With the old hierarchies the limits of memory and tasks hold, too; each gets a child of our own:
# in one that it shared with this machine, systemd would work in the machine's root.
OLD=
for t in $(findmnt -n -o TARGET -t cgroup); do OLD=1; GROUPS_OF_US="$GROUPS_OF_US $t/$(basename "$W")"; done
export OLD
for g in $GROUPS_OF_US; do
    mkdir -p "$g"
    for f in cpuset.cpus cpuset.mems; do
        [ -e "$g/$f" ] && [ -z "$(cat "$g/$f")" ] && cat "$(dirname "$g")/$f" > "$g/$f"
    done
done

cat > "$W/init" <<'I'
#!/bin/bash
set -e
B=$1/mount
mount --make-rprivate /
mount -t tmpfs -o size=$SIZE,mode=755 tmpfs $B
mkdir -p $B/up $B/work $B/root; R=$B/root
mount -t overlay overlay -o lowerdir=/,upperdir=$B/up,workdir=$B/work $R
# A small boot: none of this machine's services, and no unit that touches the kernel as a whole.
rm -rf $R/etc/systemd/system/*.wants; mkdir -p $R/etc/systemd/system
for u in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger systemd-timesyncd \
    e2scrub_reap systemd-binfmt systemd-update-utmp systemd-update-utmp-runlevel getty@tty1 \
    systemd-random-seed; do ln -sf /dev/null $R/etc/systemd/system/$u.service; done
for u in dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null $R/etc/systemd/system/$u
done
mkdir -p $R/etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' > $R/etc/systemd/journald.conf.d/bed.conf
systemd-id128 new > $R/etc/machine-id
echo bed > $R/etc/hostname; printf '127.0.0.1 localhost bed\n' > $R/etc/hosts
rm -f $R/etc/fstab; : > $R/etc/fstab
mount -t proc proc $R/proc
mount --bind $R/proc/sys $R/proc/sys; mount -o remount,bind,ro $R/proc/sys
mount -t sysfs -o ro sysfs $R/sys
if [ -n "$OLD" ]; then
    mount -t tmpfs -o mode=755 tmpfs $R/sys/fs/cgroup
    for c in cpu cpuacct memory pids; do
        mkdir $R/sys/fs/cgroup/$c; mount -t cgroup -o $c cgroup $R/sys/fs/cgroup/$c || true
    done
    mkdir $R/sys/fs/cgroup/unified $R/sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 $R/sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup $R/sys/fs/cgroup/systemd
else mount -t cgroup2 cgroup2 $R/sys/fs/cgroup; fi
mount -t tmpfs -o mode=755 tmpfs $R/dev
for d in null zero full random urandom tty fuse; do
    [ -e /dev/$d ] && { touch $R/dev/$d; mount --bind /dev/$d $R/dev/$d; }
done
mkdir -p $R/dev/pts $R/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts $R/dev/pts
ln -s pts/ptmx $R/dev/ptmx; ln -s /proc/self/fd $R/dev/fd
for i in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${i%%:*} $R/dev/${i#*:}; done
mount -t tmpfs tmpfs $R/dev/shm; mount -t tmpfs -o mode=755 tmpfs $R/run
mount -t tmpfs -o mode=1777 tmpfs $R/tmp
for b in $BINDS; do mkdir -p $R${b#*:}; mount --rbind ${b%%:*} $R${b#*:}; done
hostname bed; ip link set lo up
cd $R; mkdir -p mnt/.old; pivot_root . mnt/.old; umount -l /mnt/.old
mount --make-rshared /   # as a container manager does: mounts reach the services
exec env -i container=bed PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal-or-kmsg </dev/null
I
chmod +x "$W/init"
( for g in $GROUPS_OF_US; do echo $BASHPID > "$g/cgroup.procs"; done
  exec setpriv --pdeathsig KILL unshare --fork --kill-child=SIGKILL \
    --pid --mount --uts --ipc --net --cgroup -- "$W/init" "$W" ) > "$W/console" 2>&1 </dev/null &
OUTER=$!; INNER=
teardown() {
    trap - EXIT INT TERM
    kill -KILL $OUTER 2>/dev/null; wait $OUTER 2>/dev/null
    for g in $GROUPS_OF_US; do
        for _ in $(seq 20); do
            find "$g" -depth -type d -exec rmdir {} \; 2>/dev/null; [ -d "$g" ] || break; sleep 0.1
        done
    done
    [ -n "$OWN" ] && umount "$CG2"
    rm -rf "$W"
}
trap teardown EXIT; trap 'exit 130' INT TERM
state=
for _ in $(seq 600); do
    kill -0 $OUTER 2>/dev/null || break
    INNER=$(ps --ppid $OUTER -o pid= 2>/dev/null | tr -d ' ')
    [ -n "$INNER" ] && [ "$(cat /proc/$INNER/comm 2>/dev/null)" = systemd ] &&
        state=$(nsenter -t "$INNER" -a systemctl is-system-running 2>/dev/null)
    case $state in running|degraded) break;; esac
    sleep 0.05
done
case $state in running|degraded) ;; *) tail -20 "$W/console" >&2; exit 70;; esac
echo "ready $INNER"
cat > /dev/null
