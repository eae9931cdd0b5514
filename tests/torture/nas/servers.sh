#!/bin/bash
# Makes the shares of a NAS: NFS 4.2 at /mnt/nfs, served from /srv/nas; SMB 3.1.1 at /mnt/smb,
# served from /srv/smb. Only for the machine of machine.sh: it loads modules and mounts.
set -eu
modprobe -a nfsd nfs nfsv4 cifs
mkdir -p /srv /mnt/nfs /mnt/smb /run/samba
mount -t tmpfs srv /srv && mkdir -m 777 /srv/nas /srv/smb
mount -t nfsd nfsd /proc/fs/nfsd
mkdir -p /run/rpc_pipefs && mount -t rpc_pipefs pipes /run/rpc_pipefs
# After a restart a server waits so long for its clients before it serves anybody anew.
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
echo '/srv/nas 127.0.0.1(rw,fsid=0,no_root_squash,insecure,no_subtree_check,sync)' >/etc/exports
rpcbind
rpc.statd --no-notify
exportfs -ra
rpc.mountd
rpc.nfsd 4
cat >/etc/samba/smb.conf <<X
[global]
 server role = standalone server
 interfaces = lo
 bind interfaces only = yes
 map to guest = bad user
 smb ports = 445
 disable netbios = yes
 load printers = no
[hot]
 path = /srv/smb
 guest ok = yes
 read only = no
 force user = root
X
smbd -D
mount -t nfs -o vers=4.2 127.0.0.1:/ /mnt/nfs
for attempt in 1 2 3 4 5 6 7 8 9; do
    mount -t cifs -o guest,vers=3.1.1 //127.0.0.1/hot /mnt/smb && break || sleep 2
done
findmnt -n -t nfs4,cifs
