package mount

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShellPrograms(t *testing.T) {
	r := newRig(t)
	r.sh(`seq 100000 > ../big`)
	defer os.Remove(filepath.Join(r.dir, "../big"))
	for name, script := range map[string]string{
		"append":    `cat ../big >> append`,
		"replace":   `echo old > replace; cat ../big > replace`,
		"tee":       `cat ../big | tee -a tee > /dev/null`,
		"dd":        `dd if=../big of=dd oflag=append conv=notrunc bs=1000 status=none`,
		"cp":        `cp ../big cp`,
		"mv":        `cp ../big ../big2; mv ../big2 mv`,
		"inherited": `exec 3>> inherited; (cat ../big >&3); exec 3>&-`,
		"stdio": `/usr/bin/python3 -c "f=open('stdio','a')
for l in open('../big'): f.write(l)"`,
		"cp.stored":  `cp ../big cp.stored`,
		"sed":        `cp ../big sed; sed -i s/x/y/ sed`,
		"many":       `while read -r l; do printf '%s\n' "$l" >> many; done < <(head -300 ../big); tail -n +301 ../big >> many`,
		"exclusive":  `(set -C; cat ../big > exclusive); ! (set -C; echo > exclusive) 2>/dev/null`,
		"longer.gz":  `cp ../big longer; gzip longer; zcat longer.gz > longer; rm longer.gz; mv longer longer.gz`,
		"positioned": `split -n 7 ../big part.; for p in part.*; do cat $p >> positioned; done`,
	} {
		t.Run(name, func(t *testing.T) {
			r.sh(script)
			r.want(name, r.sh(`cmp ../big `+name+` && echo same`), "same\n")
		})
	}
	r.want("sent by append", len(r.cap.captured("append")), len(r.read("append")))
}

func TestTailFollows(t *testing.T) {
	r := newRig(t)
	r.sh(`echo 0 >> log
		timeout 300 tail -s 0.05 -n +1 -F log > ../seen 2>/dev/null & tail=$!
		for i in $(seq 1 200); do echo $i >> log; [ $i != 100 ] || { until grep -qx 100 ../seen; do sleep 0.01; done; mv log log.1; }; done
		until grep -qx 200 ../seen; do sleep 0.01; done
		kill $tail
		cmp <(seq 0 200) ../seen; rm ../seen`)
}

func TestPythonLogging(t *testing.T) {
	r := newRig(t)
	r.sh(`/usr/bin/python3 - <<'E'
import logging, logging.handlers, os
def run(h, n, each=None):
    l = logging.Logger("x"); l.addHandler(h)
    for i in range(n):
        if each: each(i)
        l.warning("line %d", i)
    h.close()
run(logging.FileHandler("plain"), 100)
run(logging.handlers.RotatingFileHandler("rotating", maxBytes=300, backupCount=9), 200)
run(logging.handlers.TimedRotatingFileHandler("timed", when="S", backupCount=3), 100)
run(logging.handlers.WatchedFileHandler("watched"), 100, lambda i: i % 25 == 24 and os.rename("watched", "watched.%d" % (i // 25)))
E`)
	want := lines(100)
	r.want("plain", r.read("plain"), want)
	r.want("captured", r.cap.captured("plain"), want)
	r.want("rotating", r.cap.captured("rotating"), lines(200))
	r.want("timed", r.cap.captured("timed"), want)
	r.want("watched", r.cap.captured("watched"), want)
	r.want("rotated content stays readable", r.sh(`cat watched.[0-9] watched`), want)
	r.want("rotated content stays readable", r.sh(`cat $(ls -r rotating.[0-9]) rotating | tail -1`), "line 199\n")
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

func TestLogrotate(t *testing.T) {
	for _, how := range []string{"create 0640 root root", "copytruncate", "create\ncompress", "copytruncate\ncompress"} {
		t.Run(strings.ReplaceAll(how, "\n", " "), func(t *testing.T) {
			r := newRig(t)
			r.sh(`chmod 755 .; cat > ../rotate.conf <<E
` + r.dir + `/app {
` + how + `
rotate 5
nodateext
}
E
chmod 644 ../rotate.conf
exec 3>> app
for i in 1 2 3; do
  seq $i 1000 >&3
  logrotate -f -s ../rotate.state ../rotate.conf
  exec 3>> app
done
rm ../rotate.state ../rotate.conf; exec 3>&-`)
			want := r.sh(`for i in 1 2 3; do seq $i 1000; done`)
			r.want("captured once", r.cap.captured("app"), want)
			r.want("rotated", r.sh(`for f in $(ls -r app.*); do zcat -f $f; done; cat app`), want)
			for path := range r.cap.seen() {
				if path != "app" {
					t.Errorf("captured %q too", path)
				}
			}
		})
	}
}

func TestBindMounts(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir ../dir; touch ../file; echo one >> f; chmod 666 f`)
	base := filepath.Dir(r.dir)
	// In a mount namespace of its own, as a container has it.
	out, err := exec.Command("unshare", "-m", "bash", "-e", "-c", `
		cd `+base+`; mount --bind mnt dir; mount --bind mnt/f file
		echo two >> dir/f; echo three >> file
		for i in $(seq 50); do echo $i >> file & echo $i >> file & wait; done
		echo new >> dir/new; mv dir/new dir/moved; cat file | head -3; cat dir/moved
		umount dir file`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.want("read", string(out), "one\ntwo\nthree\nnew\n")
	r.want("lines", r.sh(`wc -l < f`), "103\n")
	r.want("lines", len(strings.Split(r.cap.captured("f"), "\n")), 104)
	r.sh(`rmdir ../dir; rm ../file`)
}

func TestReopenByProc(t *testing.T) {
	r := newRig(t)
	r.sh(`exec 3>> f; echo one >&3
		for i in 1 2 3; do echo again $i >> /proc/self/fd/3; echo direct $i >&3; done
		cat /proc/self/fd/3; echo cut > /proc/self/fd/3; exec 3>&-; echo last >> f`)
	r.want("content", r.read("f"), "cut\nlast\n")
	r.want("captured", len(strings.Split(r.cap.captured("f"), "\n")), 10)
	if r.m.Passthrough() == nil {
		r.want("counted", r.opens("write", whyReopened), 3)
	}
}

// Eight processes open one path over and over, with and without O_CREAT: no error, each line once.
func TestOpenStorm(t *testing.T) {
	const openers, each = 8, 150
	for _, create := range []int{0, unix.O_CREAT} {
		r := newRig(t)
		r.sh(`touch f f.stored`)
		var wg sync.WaitGroup
		for p := range openers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), "FTFUSE_TEST_CHILD="+strings.Join([]string{"storm", r.dir, strconv.Itoa(p), strconv.Itoa(each), strconv.Itoa(create)}, "\x1f"))
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("opener %d: %v: %s", p, err, out)
				}
			}()
		}
		wg.Wait()
		for _, name := range []string{"f", "f.stored"} {
			got := r.sh(`sort -u ` + name + ` | wc -l; wc -l < ` + name)
			r.want(name, got, fmt.Sprintf("%d\n%d\n", openers*each, openers*each))
		}
		if r.m.Passthrough() == nil {
			r.want("open captures", r.opens("open", whyAppend), openers*each)
		}
		r.becomes("more inodes than 1000", func() string { return fmt.Sprint(r.m.Stats().Nodes > 1000) }, "false")
		r.end()
	}
}

func storm(dir string, p, each, create string) int {
	n, _ := strconv.Atoi(each)
	flags, _ := strconv.Atoi(create)
	for i := range n {
		for _, name := range []string{"f", "f.stored"} {
			fd, err := unix.Open(filepath.Join(dir, name), unix.O_WRONLY|unix.O_APPEND|flags, 0o600)
			if err != nil {
				fmt.Println("open", i, err)
				return 1
			}
			line := fmt.Sprintf("opener %s line %d\n", p, i)
			if k, err := unix.Write(fd, []byte(line)); err != nil || k != len(line) {
				fmt.Println("write", i, k, err)
				return 1
			}
			if err := unix.Close(fd); err != nil {
				fmt.Println("close", i, err)
				return 1
			}
		}
	}
	return 0
}

// Names come and go while others write: no error, nothing lost.
func TestChurn(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir d e
		for w in 1 2 3; do (for i in $(seq 150); do echo $w $i >> d/log || exit 1; done) & done
		(for i in $(seq 60); do mv d/log e/log.$((i%9)) 2>/dev/null || true; done) &
		(for i in $(seq 40); do ls -lR . > /dev/null 2>&1 || true; done) &
		(for i in $(seq 40); do mkdir x; echo $i > x/f; mv x y; rm -r y; done) &
		wait`)
	r.want("captured", len(strings.Split(r.cap.captured("d/log"), "\n")), 451)
}
