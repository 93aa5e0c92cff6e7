/** @typedef {'start' | 'test'} Purpose */

/**
 * What Slipway takes from Debian. A package counts as there when one of its paths is, however it came: a host with
 * Docker's own packages needs no docker.io.
 * @type {{ purpose: Purpose, name: string, paths: string[] }[]}
 */
export const packages = [
  { purpose: 'start', name: 'runc', paths: ['runc'] },
  { purpose: 'start', name: 'conmon', paths: ['conmon'] },
  { purpose: 'start', name: 'iptables', paths: ['iptables'] },
  { purpose: 'start', name: 'iproute2', paths: ['ip'] },
  { purpose: 'start', name: 'socat', paths: ['socat'] },
  // The default seccomp profile. Its package wants a network stack for podman, of which netavark is the smallest.
  {
    purpose: 'start',
    name: 'netavark',
    paths: ['/usr/lib/podman/netavark', '/usr/share/containers/seccomp.json'],
  },
  {
    purpose: 'start',
    name: 'golang-github-containers-common',
    paths: ['/usr/share/containers/seccomp.json'],
  },
  // Disks of tenants that have a limit.
  { purpose: 'start', name: 'e2fsprogs', paths: ['mkfs.ext4'] },
  // `docker top`
  { purpose: 'start', name: 'procps', paths: ['ps'] },
  { purpose: 'start', name: 'ca-certificates', paths: ['/etc/ssl/certs/ca-certificates.crt'] },
  // `docker run --init`
  {
    purpose: 'start',
    name: 'catatonit',
    paths: ['docker-init', 'catatonit', '/usr/libexec/catatonit/catatonit', 'tini-static'],
  },
  // Contexts and ADDs that are repositories.
  { purpose: 'start', name: 'git', paths: ['git'] },
  { purpose: 'start', name: 'openssh-client', paths: ['ssh'] },
  // ADD unpacks these.
  { purpose: 'start', name: 'xz-utils', paths: ['xz'] },
  { purpose: 'start', name: 'bzip2', paths: ['bzip2'] },
  // Compresses layers.
  {
    purpose: 'start',
    name: 'libdeflate0',
    paths: [
      '/usr/lib/x86_64-linux-gnu/libdeflate.so.0',
      '/usr/lib/aarch64-linux-gnu/libdeflate.so.0',
      '/usr/lib64/libdeflate.so.0',
    ],
  },

  { purpose: 'test', name: 'docker.io', paths: ['dockerd'] },
  { purpose: 'test', name: 'docker-registry', paths: ['docker-registry'] },
  { purpose: 'test', name: 'skopeo', paths: ['skopeo'] },
  { purpose: 'test', name: 'podman', paths: ['podman'] },
  { purpose: 'test', name: 'buildah', paths: ['buildah'] },
  { purpose: 'test', name: 'containerd', paths: ['containerd'] },
  { purpose: 'test', name: 'busybox-static', paths: ['busybox'] },
  { purpose: 'test', name: 'mmdebstrap', paths: ['mmdebstrap'] },
  {
    purpose: 'test',
    name: 'python3-venv',
    paths: [
      '/usr/lib/python3.11/ensurepip',
      '/usr/lib/python3.12/ensurepip',
      '/usr/lib/python3.13/ensurepip',
    ],
  },
  { purpose: 'test', name: 'qemu-user-static', paths: ['/usr/lib/binfmt.d/qemu-aarch64.conf'] },
  // Checks units.
  { purpose: 'test', name: 'systemd', paths: ['systemd-analyze'] },
  // Encrypted overlay networks.
  { purpose: 'test', name: 'wireguard-tools', paths: ['wg'] },
  { purpose: 'test', name: 'wireguard-go', paths: ['wireguard-go'] },
  { purpose: 'test', name: 'curl', paths: ['curl'] },
  { purpose: 'test', name: 'openssl', paths: ['openssl'] },
  { purpose: 'test', name: 'openssh-server', paths: ['/usr/sbin/sshd'] },
  { purpose: 'test', name: 'python3', paths: ['python3'] },
  { purpose: 'test', name: 'zstd', paths: ['zstd'] },
  { purpose: 'test', name: 'wrk', paths: ['wrk'] },
  { purpose: 'test', name: 'postgresql', paths: ['/usr/lib/postgresql'] },
];
