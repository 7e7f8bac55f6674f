// Package appliance boots Debian with systemd in containers, installs the packages there, and tests what an administrator and the programs then see.
//
// Everything happens in namespaces that end with the test process: mounts, processes and networks cannot outlive it. A
// machine is a root of scripts/debian-root.sh below an overlay, started by systemd-nspawn; it has an address on a bridge
// that only the machines share.
package appliance
