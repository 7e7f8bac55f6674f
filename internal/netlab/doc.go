// Package netlab makes networks of hosts on one machine for tests: each host is a network namespace with an address, a link that can be cut and slowed, and names that DNS answers.
//
// Nothing of a network has a name on the machine: namespaces live as long as the descriptors and processes of the test,
// and with them go their links, also when the test is killed. Isolate does the same for what the tests mount. Needs root,
// ip(8) and tc(8) of iproute2, and a kernel with veth, bridge and the tbf queue; a link is cut by the kernel's blackhole
// queue, so that neither side is told.
package netlab
