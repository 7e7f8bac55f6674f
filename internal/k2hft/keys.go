package k2hft

import "strings"

// Kind says what becomes of a key.
type Kind int

// The kinds.
const (
	Translated Kind = iota // works as it did
	Differs                // works, but not as it did: the reason says how
	None                   // has no counterpart: the reason says why none is needed, or what to do
	Unknown                // not a key of the original
)

func (k Kind) String() string {
	return [...]string{"translated", "differs", "no counterpart", "unknown"}[k]
}

// Key is one key of the original: where it stands, and what becomes of it.
type Key struct {
	Section string // or what stands for one: see Sections
	Name    string
	Kind    Kind
	Ours    string // the key or command in its place; "" for None
	Why     string // for None, why; for Differs, how and why
}

// Places of keys that are no sections of a file.
const (
	onMount   = "-o"           // options of the mount, and its words on the command line
	onSvr     = "k2hftfusesvr" // its command line
	onChmpx   = "chmpx"        // its command line
	onEnviron = "environment"  // variables
)

// Sections are the places of keys, in the order of docs/parity.md.
var Sections = []string{onMount, onSvr, onChmpx, onEnviron, secMain, secRuleDir, secRule, secSvr, secDtor, secDtorSvr, secGlobal, secSvrNode, secSlvNode}

// Reasons that several keys share.
const (
	whyStore    = "the queue is always on disk and needs no geometry; its size is bounded by queue.max_size"
	whyThreads  = "one connection per target carries everything in order; more threads gave lines out of order"
	whyDtor     = "outputs and plug-ins take the place of transfer libraries"
	whyQueues   = "there are no message queues and no shared memory, so that nothing of them has to be sized"
	whyCluster  = "there is no cluster to name or to number: a target is an address"
	whyControl  = "the control socket is local: ftfuse status asks it"
	whyAddress  = "a target says its whole address, a receiver what it listens on"
	whyRing     = "there is no ring that members join with their data"
	whyRetry    = "nothing is dropped for a time-out: the sender keeps the data and connects anew"
	whyTLS      = "named anew: PEM files of both sides, in tls of a target and of receiver.yaml; ftfuse certs makes them"
	whyChmpx    = "there is no second daemon"
	whyDebug    = "log.level sets how much is logged, and the journal has it"
	whyGeneric  = "the generic receiver of k2hash transactions is no part of K2HFTFUSE"
	whyFuse     = "the mount unit, or ftfuse mount-unit --fstab, says the options of the mount"
	whyPeers    = "peers of receiver.yaml say who may send what, by the names in certificates; the names of chmpx are not proved"
	whyTruth    = "the value is neither yes nor no, and the original skips it"
	whySameName = "a later one of the same name takes its place, as in the original"
)

func rows(section string, kind Kind, ours, why, names string) []Key {
	var out []Key
	for _, n := range strings.Fields(names) {
		out = append(out, Key{section, n, kind, ours, why})
	}
	return out
}

// Keys is the table of every key that the original has. docs/parity.md shows it to people.
var Keys = join(
	rows(onMount, Translated, "FILE of ftfuse import", "", "conf"),
	rows(onMount, Translated, "ftfuse import --json", "", "json"),
	rows(onMount, Translated, "mounts.umask", "", "umask"),
	rows(onMount, Translated, "mounts.uid", "", "uid"),
	rows(onMount, Translated, "mounts.gid", "", "gid"),
	rows(onMount, Translated, "mounts.allow_other", "", "allow_other"),
	rows(onMount, Translated, "log.level", "", "dbglevel -d"),
	rows(onMount, None, "", whyChmpx, "enable_run_chmpx disable_run_chmpx chmpxlog"),
	rows(onMount, None, "", whyFuse, "nodev nosuid noexec _netdev noauto nofail rw ro defaults auto user users noatime nodiratime"),
	rows(onMount, None, "", "requests are as large as the kernel makes them", "big_writes max_write max_read"),
	rows(onMount, None, "", "permissions are always those of the files", "default_permissions allow_root"),
	rows(onMount, None, "", "ftfuse sender stays in the foreground, and systemd runs it", "-f"),
	rows(onMount, None, "", "ftfuse --help and ftfuse version", "-h -v"),
	rows(onSvr, Translated, "FILE of ftfuse import", "", "-conf"),
	rows(onSvr, Translated, "ftfuse import --json", "", "-json"),
	rows(onSvr, None, "", whyDebug, "-d -g -dbg"),
	rows(onSvr, None, "", "ftfuse --help and ftfuse version", "-h -v"),
	rows(onChmpx, None, "", whyChmpx, "-conf -json -ctlport -cuk -d -dfile"),
	rows(onEnviron, Translated, "ftfuse import without FILE", "", "K2HFTCONFFILE K2HFTJSONCONF K2HFTSVRCONFFILE K2HFTSVRJSONCONF"),
	rows(onEnviron, None, "", whyDebug, "K2HFTDBGMODE K2HFTDBGFILE K2HDBGMODE K2HDBGFILE CHMDBGMODE CHMDBGFILE"),
	rows(onEnviron, None, "", whyChmpx, "CHMCONFFILE CHMJSONCONF"),

	rows(secMain, Differs, "queue.dir", "the queue is always on disk, and what waits survives a crash; with mem nothing did. Its place is queue.dir", "K2HTYPE K2HFILE"),
	rows(secMain, Differs, "the queue", "a queue is always taken up again; with yes the data of the last run was thrown away", "K2HINIT"),
	rows(secMain, None, "", whyStore, "K2HFULLMAP K2HMASKBIT K2HCMASKBIT K2HMAXELE K2HPAGESIZE"),
	rows(secMain, None, "", whyThreads, "DTORTHREADCNT"),
	rows(secMain, None, "", whyDtor, "DTORCTP"),
	rows(secMain, Translated, "rules.unit", "", "BINTRANS"),
	rows(secMain, Translated, "rules.expire", "", "EXPIRE"),
	rows(secMain, Translated, "rules.batch", "", "TRANSLINECNT TRANSTIMEUP"),
	rows(secMain, Translated, "rules.max_record and rules.too_long", "", "BYTELIMIT"),
	ruleKeys(secRuleDir), ruleKeys(secRule),

	rows(secSvr, Translated, "outputs", "", "TYPE"),
	rows(secSvr, Translated, "outputs.base", "", "FILE_BASEDIR"),
	rows(secSvr, Translated, "outputs.path", "", "FILE_UNIFY"),
	rows(secSvr, Translated, "outputs.time_format", "", "FILE_TIMEFORM"),
	rows(secSvr, Translated, "outputs.template", "", "FORMAT"),
	rows(secSvr, Translated, "outputs.plugin", "", "PLUGIN"),
	rows(secSvr, Translated, "outputs.format", "", "BINTRANS"),
	rows(secSvr, Translated, "targets", "", "TRANSCONF"),
	rows(secSvr, None, "", whyStore, "K2HTYPE K2HFILE K2HFULLMAP K2HINIT K2HMASKBIT K2HCMASKBIT K2HMAXELE K2HPAGESIZE"),
	rows(secSvr, None, "", whyThreads, "DTORTHREADCNT"),
	rows(secSvr, None, "", whyDtor, "DTORCTP"),

	rows(secDtor, Translated, "targets.policy", "", "K2HTPDTOR_BROADCAST"),
	rows(secDtor, Translated, "targets, read from that file", "", "K2HTPDTOR_CHMPXCONF"),
	rows(secDtor, Translated, "rules without the receivers", "", "K2HTPDTOR_EXCEPT_KEY"),
	rows(secDtor, Differs, "outputs", "the archive is a file of JSON lines, which programs can read; and replay by writing it into a mount", "K2HTPDTOR_FILE"),
	rows(secDtor, None, "", "kinds of k2hash transactions, of which K2HFTFUSE makes one, SETALL: with that in the list nothing was ever sent", "K2HTPDTOR_FILTER_TYPE"),
	rows(secDtorSvr, None, "", whyGeneric, "OUTPUTFILE PLUGIN K2HTYPE K2HFILE K2HFULLMAP K2HINIT K2HMASKBIT K2HCMASKBIT K2HMAXELE K2HPAGESIZE K2HDTORSVR_TRANS DTORTHREADCNT"),

	rows(secGlobal, None, "", whyCluster, "GROUP FILEVERSION DATE MODE CHMPXIDTYPE CUSTOM_ID_SEED SELFCUK CUK"),
	rows(secGlobal, Differs, "targets.policy", "balance for random; hash goes by the path of the file", "DELIVERMODE"),
	rows(secGlobal, Differs, "targets.replicas", "how many others may stand in for a server that is down: no data is at two at once", "REPLICA"),
	rows(secGlobal, None, "", whyRing, "DOMERGE AUTOMERGE MERGETIMEOUT"),
	rows(secGlobal, None, "", whyQueues, "MAXCHMPX MAXMQSERVER MAXMQCLIENT MQPERATTACH MAXQPERSERVERMQ MAXQPERCLIENTMQ MAXMQPERCLIENT MAXHISTLOG SOCKTHREADCNT MQTHREADCNT MAXSOCKPOOL SOCKPOOLTIMEOUT MQACK K2HFULLMAP K2HMASKBIT K2HCMASKBIT K2HMAXELE"),
	rows(secGlobal, None, "", whyRetry, "RWTIMEOUT RETRYCNT CONTIMEOUT MQRWTIMEOUT MQRETRYCNT"),
	rows(secGlobal, None, "", whyAddress, "PORT ENDPOINTS FORWARD_PEERS REVERSE_PEERS"),
	rows(secGlobal, None, "", whyControl, "CTLPORT SELFCTLPORT CTLENDPOINTS"),
	rows(secGlobal, None, "", whyTLS, tlsKeys),

	rows(secSvrNode, Translated, "targets.members", "", "NAME"),
	rows(secSvrNode, Differs, "targets.members", "the port of chmpx is not ours: receivers listen on "+port, "PORT"),
	rows(secSvrNode, None, "", whyControl, "CTLPORT CTLENDPOINTS"),
	rows(secSvrNode, None, "", whyAddress, "ENDPOINTS FORWARD_PEERS REVERSE_PEERS"),
	rows(secSvrNode, None, "", whyCluster, "CUK CUSTOM_ID_SEED"),
	rows(secSvrNode, None, "", whyTLS, tlsKeys),
	rows(secSlvNode, None, "", whyPeers, "NAME"),
	rows(secSlvNode, None, "", whyControl, "CTLPORT CTLENDPOINTS"),
	rows(secSlvNode, None, "", whyAddress, "ENDPOINTS FORWARD_PEERS REVERSE_PEERS"),
	rows(secSlvNode, None, "", whyCluster, "CUK CUSTOM_ID_SEED"),
	rows(secSlvNode, None, "", whyTLS, tlsKeys),
)

const (
	tlsKeys = "SSL SSL_VERIFY_PEER SSL_MIN_VER CAPATH SERVER_CERT SERVER_PRIKEY SLAVE_CERT SLAVE_PRIKEY NSSDB_DIR"
	port    = "24747" // of our receivers; a test holds it to config.Port
)

// ruleKeys are those of a file's rule and of a directory's, which are the same.
func ruleKeys(section string) []Key {
	return join(
		rows(section, Translated, "rules.match", "", "TARGET"),
		rows(section, Translated, "rules.targets", "", "TRUNS"),
		rows(section, Translated, "outputs", "", "OUTPUTFILE"),
		rows(section, Translated, "outputs.plugin", "", "PLUGIN"),
		rows(section, Translated, "rules.otherwise", "", "DEFAULTALL"),
		rows(section, Translated, "rules.filters", "", "ALLOW DENY"),
	)
}

func join(lists ...[]Key) []Key {
	var out []Key
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// lookup finds a key.
func lookup(section, name string) (Key, bool) {
	for _, k := range Keys {
		if k.Section == section && k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// known reports whether a section is one of the original's.
func known(section string) bool {
	for _, s := range Sections[4:] {
		if s == section {
			return true
		}
	}
	return false
}
