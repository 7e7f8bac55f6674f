package k2hft

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ftfuse/internal/config"
)

const tls = " SSL SSL_VERIFY_PEER SSL_MIN_VER CAPATH SERVER_CERT SERVER_PRIKEY SLAVE_CERT SLAVE_PRIKEY NSSDB_DIR"

// originals are the keys that the original's parsers compare with, written down from them and not from the table.
var originals = map[string]string{
	onMount:    "umask uid gid allow_other dbglevel conf json enable_run_chmpx disable_run_chmpx chmpxlog nodev nosuid _netdev big_writes default_permissions -f -d -h -v",
	onSvr:      "-conf -json -d -g -dbg -h -v",
	onChmpx:    "-conf -json -ctlport -cuk -d -dfile",
	onEnviron:  "K2HFTCONFFILE K2HFTJSONCONF K2HFTSVRCONFFILE K2HFTSVRJSONCONF K2HFTDBGMODE K2HFTDBGFILE K2HDBGMODE K2HDBGFILE CHMDBGMODE CHMDBGFILE CHMCONFFILE CHMJSONCONF",
	secMain:    "K2HTYPE K2HFILE K2HFULLMAP K2HINIT K2HMASKBIT K2HCMASKBIT K2HMAXELE K2HPAGESIZE DTORTHREADCNT DTORCTP BINTRANS EXPIRE TRANSLINECNT TRANSTIMEUP BYTELIMIT",
	secRule:    "TARGET TRUNS OUTPUTFILE PLUGIN DEFAULTALL ALLOW DENY",
	secRuleDir: "TARGET TRUNS OUTPUTFILE PLUGIN DEFAULTALL ALLOW DENY",
	secSvr:     "TYPE FILE_BASEDIR FILE_UNIFY FILE_TIMEFORM PLUGIN FORMAT BINTRANS TRANSCONF K2HTYPE K2HFILE K2HFULLMAP K2HINIT K2HMASKBIT K2HCMASKBIT K2HMAXELE K2HPAGESIZE DTORTHREADCNT DTORCTP",
	secDtor:    "K2HTPDTOR_BROADCAST K2HTPDTOR_CHMPXCONF K2HTPDTOR_EXCEPT_KEY K2HTPDTOR_FILE K2HTPDTOR_FILTER_TYPE",
	secDtorSvr: "OUTPUTFILE PLUGIN K2HTYPE K2HFILE K2HFULLMAP K2HINIT K2HMASKBIT K2HCMASKBIT K2HMAXELE K2HPAGESIZE K2HDTORSVR_TRANS DTORTHREADCNT",
	secGlobal: "GROUP FILEVERSION DATE MODE DELIVERMODE REPLICA CHMPXIDTYPE CUSTOM_ID_SEED MAXCHMPX MAXMQSERVER MAXMQCLIENT MQPERATTACH MAXQPERSERVERMQ MAXQPERCLIENTMQ " +
		"MAXMQPERCLIENT MAXHISTLOG PORT CTLPORT SELFCTLPORT SELFCUK CUK ENDPOINTS CTLENDPOINTS FORWARD_PEERS REVERSE_PEERS RWTIMEOUT RETRYCNT CONTIMEOUT MQRWTIMEOUT MQRETRYCNT MQACK " +
		"DOMERGE AUTOMERGE MERGETIMEOUT SOCKTHREADCNT MQTHREADCNT MAXSOCKPOOL SOCKPOOLTIMEOUT K2HFULLMAP K2HMASKBIT K2HCMASKBIT K2HMAXELE" + tls,
	secSvrNode: "NAME PORT CTLPORT CUK CUSTOM_ID_SEED ENDPOINTS CTLENDPOINTS FORWARD_PEERS REVERSE_PEERS" + tls,
	secSlvNode: "NAME CTLPORT CUK CUSTOM_ID_SEED ENDPOINTS CTLENDPOINTS FORWARD_PEERS REVERSE_PEERS" + tls,
}

func TestEveryKeyHasARow(t *testing.T) {
	total := 0
	for section, names := range originals {
		for _, name := range strings.Fields(names) {
			total++
			if _, ok := lookup(section, name); !ok {
				t.Errorf("%s of %s has no row", name, section)
			}
		}
	}
	if total < 150 {
		t.Errorf("got %d keys, want all of them", total)
	}
	seen := map[string]bool{}
	for _, k := range Keys {
		id := k.Section + " " + k.Name
		if seen[id] {
			t.Errorf("%s has two rows", id)
		}
		seen[id] = true
		if k.Kind == Unknown || k.Kind != Translated && k.Why == "" || k.Kind != None && k.Ours == "" {
			t.Errorf("%s: got %+v, want what becomes of it and why", id, k)
		}
	}
	if port != config.Port {
		t.Errorf("got port %s, want %s", port, config.Port)
	}
}

// Each key of the file's sections gives a note, whatever its value is, and none is taken for unknown.
func TestEveryKeyIsReported(t *testing.T) {
	for _, section := range Sections[4:] {
		keys := strings.Fields(originals[section])
		for _, value := range []string{"", "yes", "no", "7", "0", "/dir/file", "/dir/", "nonsense", `"a.*b"`} {
			text := "[K2HFTFUSE]\n[K2HFTFUSESVR]\n[" + section + "]\n"
			for _, key := range keys {
				text += key + " = " + value + "\n"
			}
			r := translate(t, text, Options{})
			for i, key := range keys {
				reported := slices.ContainsFunc(r.Report.Notes, func(n Note) bool {
					return n.Line == 4+i && n.Kind != Unknown && strings.HasPrefix(n.Key, key+" of ")
				})
				if !reported {
					t.Errorf("%s = %s of [%s]: no note", key, value, section)
				}
			}
		}
	}
}

// The page for people has every key of the table in its section, and what becomes of it.
func TestParityPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/parity.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n### ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		sections[strings.Trim(title, "`[] ")] = body
	}
	for _, k := range Keys {
		body, ok := sections[k.Section]
		if !ok {
			t.Fatalf("docs/parity.md has no section ### `%s`", k.Section)
		}
		row := ""
		for _, line := range strings.Split(body, "\n") {
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			if strings.HasPrefix(line, "| ") && strings.Contains(first, "`"+k.Name+"`") {
				row = line
			}
		}
		if row == "" || !strings.Contains(row, "| "+k.Kind.String()+" |") {
			t.Errorf("docs/parity.md, %s: row of %s is %q, want it, with %q", k.Section, k.Name, row, k.Kind)
		}
	}
}
