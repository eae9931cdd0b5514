#!/bin/bash
# machine.sh COMMAND... - runs a command as root in a machine that is emulated, with Debian's own
# kernel, which has NFS and SMB clients and servers whatever kernel runs here. Its root is our root,
# read-only under a layer in its memory; $OUT is /out there and holds what the command said.
# Exit codes: the command's; 69: the machine could not be made; 70: it ended without a word.
set -u
kernels=${HOTFOLDER_KERNEL:-${XDG_CACHE_HOME:-$HOME/.cache}/hotfolder-torture/kernel}
out=$OUT
if [ ! -d "$kernels/boot" ]; then # Debian's kernel, unpacked beside the system, not installed
    mkdir -p "$kernels" && cd "$kernels" || exit 69
    name=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
    { apt-get download -q "$name" && dpkg -x linux-image-*.deb . && rm -f linux-image-*.deb; } ||
        exit 69
fi
version=$(basename "$kernels"/lib/modules/*)
[ -e "$kernels/lib/modules/$version/modules.dep" ] || depmod -b "$kernels" "$version" || exit 69

seed=$(mktemp -d) && trap 'rm -rf "$seed"' EXIT
mkdir "$seed/bin" "$seed/m" && cp "$(command -v busybox)" "$seed/bin/" || exit 69
modules=$(for it in virtio_pci 9pnet_virtio 9p overlay; do
    modprobe -d "$kernels" -S "$version" --show-depends "$it"
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}')
cp $modules "$seed/m/" || exit 69
cat >"$seed/init" <<X
#!/bin/busybox sh
b=/bin/busybox
for it in proc dev ro tmp root; do \$b mkdir -p /\$it; done
\$b mount -t proc proc /proc; \$b mount -t devtmpfs dev /dev
for it in $(basename -a $modules | tr '\n' ' '); do \$b insmod /m/\$it; done
p9=trans=virtio,version=9p2000.L,msize=524288
\$b mount -t 9p -o \$p9,cache=loose,ro host /ro || \$b poweroff -f
\$b mount -t tmpfs -o size=80% layer /tmp; \$b mkdir /tmp/upper /tmp/work
\$b mount -t overlay -o lowerdir=/ro,upperdir=/tmp/upper,workdir=/tmp/work layers /root
\$b mkdir -p /root/out; \$b mount -t 9p -o \$p9 out /root/out
\$b mount -t proc proc /root/proc; \$b mount -t sysfs sys /root/sys; \$b mount --move /dev /root/dev
\$b mkdir -p /root/dev/pts /root/dev/shm; \$b mount -t devpts pts /root/dev/pts
for it in dev/shm run; do \$b mount -t tmpfs -o mode=1777 \$it /root/\$it; done
\$b mkdir -p /root/lib/modules; \$b mount --bind /ro$kernels/lib/modules /root/lib/modules
exec \$b switch_root /root /out/begin
X
chmod +x "$seed/init"
(cd "$seed" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd" || exit 69
printf '%q ' "$@" >"$out/command"
cat >"$out/begin" <<'X'
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
ip link set lo up
hostname nas
bash /out/command >/out/said 2>&1
echo $? >/out/code
sync
echo o >/proc/sysrq-trigger
sleep 60
X
chmod +x "$out/begin"
share() { echo "-fsdev local,id=$1,path=$2,security_model=none$3 -device virtio-9p-pci,fsdev=$1,mount_tag=$1"; }
timeout -k 5 "${LIMIT_SECONDS:-900}" qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -cpu max \
    -m 3072 -nographic -nodefaults -no-reboot -serial "file:$out/console" \
    -kernel "$kernels/boot/vmlinuz-$version" -initrd "$out/initrd" \
    -append "console=ttyS0 panic=-1 quiet" $(share host / ,readonly=on,multidevs=remap) \
    $(share out "$out" "") </dev/null >"$out/machine" 2>&1
cat "$out/said" 2>/dev/null || cat "$out/machine" "$out/console"
exit "$(cat "$out/code" 2>/dev/null || echo 70)"
