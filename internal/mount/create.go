package mount

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Create makes and opens a regular file. The kernel has looked the name up just before; another process may have
// made it since.
func (s *server) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	n, st, existed, err := s.make(in, name)
	if err != nil {
		return status(err)
	}
	if err := s.open(in.Unique, n, in.Caller, in.Flags, &out.OpenOut); err != nil {
		s.Forget(n.id, 1)
		return status(err)
	}
	// For the kernel CREATE is the end of open(2): there will be no SETATTR for O_TRUNC.
	if existed && in.Flags&unix.O_TRUNC != 0 {
		if err := s.cut(n); err != nil {
			s.Release(nil, &fuse.ReleaseIn{Fh: out.Fh})
			s.Forget(n.id, 1)
			return status(err)
		}
	}
	s.entryOut(n, &st, &out.EntryOut)
	return fuse.OK
}

func (m *Mount) cut(n *node) error {
	fd, err := m.openAttr(n)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return m.truncate(n, fd, &fuse.SetAttrIn{}, 0)
}

// make creates the file below, or finds it where O_EXCL does not forbid, and looks it up.
func (m *Mount) make(in *fuse.CreateIn, name string) (n *node, st unix.Statx_t, existed bool, err error) {
	m.ns.RLock()
	defer m.ns.RUnlock()
	parent, d, code := m.parent(in.NodeId)
	if code != fuse.OK {
		return nil, st, false, unix.Errno(code)
	}
	defer d.close()
	again, err := m.about(in.Unique, d, name)
	if err != nil && (err != unix.EEXIST || in.Flags&unix.O_EXCL != 0) {
		return nil, st, false, err
	}
	fd := -1
	if err == nil {
		fd, err = unix.Openat(d.fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	}
	if err == unix.EEXIST && again { // made before our predecessor died, perhaps not given away yet
		fd, err = openBeneath(d.fd, name, unix.O_PATH)
	}
	switch {
	case err == nil:
		defer unix.Close(fd)
		at("done", in.Opcode)
		if err = m.own(d, fd, in.Caller, in.Mode&0o7777); err != nil {
			_ = unix.Unlinkat(d.fd, name, 0)
			return nil, st, false, err
		}
		st, err = statFd(fd)
	case err == unix.EEXIST && in.Flags&unix.O_EXCL == 0:
		existed = true
		if st, err = statAt(d.fd, name); err == nil {
			err = m.permit(&st, in.Caller, in.Flags)
		}
	}
	if err != nil {
		return nil, st, existed, err
	}
	n, err = m.named(in.Unique, parent, name, &st)
	return n, st, existed, err
}

// own gives a new file to the caller: its fsuid and fsgid, but the group of a set-group-id directory; then its mode,
// from which the kernel has taken the umask already.
func (m *Mount) own(d dir, fd int, who fuse.Caller, mode uint32) error {
	gid := int(who.Gid)
	if st, err := statFd(d.fd); err != nil {
		return err
	} else if st.Mode&unix.S_ISGID != 0 {
		gid = int(st.Gid)
	}
	if err := unix.Fchownat(fd, "", int(who.Uid), gid, unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	return unix.Chmod(procFd(fd), mode)
}

// Mkdir makes a directory; below a set-group-id directory it is one itself.
func (s *server) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.place(in.InHeader, name, out, func(d dir, again bool) error {
		if err := unix.Mkdirat(d.fd, name, 0o700); err != nil && !done(err, again) {
			return err
		}
		st, err := statFd(d.fd)
		if err != nil {
			return err
		}
		return s.ownName(d, name, in.Caller, in.Mode&0o7777|uint32(st.Mode)&unix.S_ISGID)
	})
}

// Mknod makes fifos and sockets, and regular files as mknod(2) can. Devices make no sense here: EPERM.
func (s *server) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	switch in.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFREG:
	default:
		return fuse.EPERM
	}
	return s.place(in.InHeader, name, out, func(d dir, again bool) error {
		if err := unix.Mknodat(d.fd, name, in.Mode&unix.S_IFMT|0o600, 0); err != nil && !done(err, again) {
			return err
		}
		return s.ownName(d, name, in.Caller, in.Mode&0o7777)
	})
}

// Symlink makes a symbolic link; its target is kept as it is and only ever resolved by the kernel.
func (s *server) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return s.place(*in, name, out, func(d dir, again bool) error {
		if err := unix.Symlinkat(target, d.fd, name); err != nil && !done(err, again) {
			return err
		}
		return unix.Fchownat(d.fd, name, int(in.Uid), int(in.Gid), unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Link gives a file another name: both names show one captured file.
func (s *server) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	n := s.tree.node(in.Oldnodeid)
	if n == nil {
		return fuse.ENOENT
	}
	return s.place(in.InHeader, name, out, func(d dir, again bool) error {
		fd, err := s.openEntry(n.at, unix.O_PATH)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		err = unix.Linkat(unix.AT_FDCWD, procFd(fd), d.fd, name, unix.AT_SYMLINK_FOLLOW)
		if done(err, again) {
			return nil
		}
		return err
	})
}

// about notes, where a successor will want to know, that name is about to be made, and reports whether a predecessor has
// noted it already for the same request. EEXIST: there is such a name.
func (m *Mount) about(unique uint64, d dir, name string) (again bool, err error) {
	if !m.keeper.on() {
		return false, nil
	}
	if p := m.keeper.again(unique); p != nil && p.Intent != nil {
		return true, nil
	}
	if _, err := statAt(d.fd, name); err != unix.ENOENT {
		if err == nil {
			err = unix.EEXIST
		}
		return false, err
	}
	m.keeper.intend(unique, intent{})
	return false, nil
}

// done reports whether making a name failed because a predecessor has made it for the same request.
func done(err error, again bool) bool { return again && err == unix.EEXIST }

// place lets do make name in the directory and answers with its node. again says that a predecessor was about to make
// it, and perhaps has.
func (m *Mount) place(in fuse.InHeader, name string, out *fuse.EntryOut, do func(d dir, again bool) error) fuse.Status {
	m.ns.RLock()
	defer m.ns.RUnlock()
	parent, d, code := m.parent(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer d.close()
	again, err := m.about(in.Unique, d, name)
	if err == nil {
		err = do(d, again)
	}
	at("done", in.Opcode)
	if err != nil {
		return status(err)
	}
	st, err := statAt(d.fd, name)
	if err != nil {
		return status(err)
	}
	n, err := m.named(in.Unique, parent, name, &st)
	if err != nil {
		return status(err)
	}
	m.entryOut(n, &st, out)
	return fuse.OK
}

func (m *Mount) ownName(d dir, name string, who fuse.Caller, mode uint32) error {
	fd, err := openBeneath(d.fd, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return m.own(d, fd, who, mode)
}
