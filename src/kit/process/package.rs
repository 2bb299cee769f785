//! Where a missing program comes from.

/// Programs that installing machines needs, by the Debian package that has them.
const PACKAGES: [(&str, &[&str]); 35] = [
    ("acl", &["getfacl", "setfacl"]),
    ("attr", &["getfattr", "setfattr"]),
    ("bash", &["bash"]),
    ("bsdextrautils", &["hexdump"]),
    ("btrfs-progs", &["btrfs", "mkfs.btrfs"]),
    ("busybox", &["busybox"]),
    ("cpio", &["cpio"]),
    ("cryptsetup-bin", &["cryptsetup"]),
    ("dosfstools", &["mkfs.fat", "mkfs.vfat", "fsck.fat", "fsck.vfat", "fatlabel"]),
    (
        "e2fsprogs",
        &["mkfs.ext2", "mkfs.ext3", "mkfs.ext4", "mke2fs", "e2fsck", "resize2fs", "tune2fs", "dumpe2fs", "debugfs"],
    ),
    ("efibootmgr", &["efibootmgr"]),
    ("eject", &["eject"]),
    ("exfatprogs", &["mkfs.exfat", "fsck.exfat"]),
    ("extlinux", &["extlinux"]),
    ("f2fs-tools", &["mkfs.f2fs", "fsck.f2fs"]),
    ("fdisk", &["fdisk", "sfdisk", "cfdisk"]),
    ("gdisk", &["sgdisk", "gdisk"]),
    ("grub-common", &["grub-mkrescue", "grub-probe", "grub-mkimage"]),
    ("grub2-common", &["grub-install", "update-grub"]),
    ("initramfs-tools", &["update-initramfs", "mkinitramfs"]),
    ("gzip", &["gzip"]),
    ("iproute2", &["ip"]),
    ("kexec-tools", &["kexec"]),
    ("kmod", &["modprobe", "insmod", "lsmod", "depmod"]),
    ("libarchive-tools", &["bsdtar"]),
    ("lvm2", &["lvm", "pvcreate", "vgcreate", "lvcreate", "vgchange", "pvs", "vgs", "lvs"]),
    ("mdadm", &["mdadm"]),
    ("ntfs-3g", &["mkfs.ntfs", "mkntfs", "ntfsresize", "ntfsfix", "ntfsclone"]),
    ("nvme-cli", &["nvme"]),
    ("parted", &["parted", "partprobe"]),
    ("syslinux", &["syslinux"]),
    ("util-linux-extra", &["mkfs.minix", "fsck.minix"]),
    ("xfsprogs", &["mkfs.xfs", "xfs_repair", "xfs_growfs", "xfs_admin"]),
    ("xz-utils", &["xz"]),
    ("zstd", &["zstd", "unzstd", "zstdcat"]),
];

/// The package of a program, by its last path component.
pub(crate) fn of(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next()?;
    PACKAGES.iter().find(|(_, programs)| programs.contains(&name)).map(|(package, _)| *package)
}
