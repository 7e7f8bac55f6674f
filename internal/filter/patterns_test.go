package filter

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

const (
	jwtText = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
	tok     = "abcdef0123456789abcdef"
)

// marked has what must go between « and »; begin is written so that no key block stands in the tree.
var marked = map[string][]string{
	"email": {
		"from «a.b+c@example.co.uk», to <«x@y.de»>.", "mailto:«jürgen@müller.de»", "user@host", "getty@tty1.service", "icon@2x.png",
		"lodash@4.17.21", "@b.de", "a@.de", "a@b..de", "a@b.c", "https://u:«p@host.de»/x", "«a@b.de»@c.de", "..«a@b.de»",
	},
	"ipv4": {
		"«10.0.0.1»", "from «192.0.2.255»:80, «1.2.3.4»/24 and «8.8.8.8».", "1.2.3.256", "1.2.3", "1.2.3.4.5", "v1.2.3.4", "1.2.3.4a", "01.2.3.4",
		"Chrome/120.0.0.0 Safari", "http://«10.0.0.1»/x", "1.3.6.1.4.1.311", "«0.0.0.0»", "2026.01.02.03", "x=«1.2.3.4»",
	},
	"ipv6": {
		"«2001:db8::1»", "[«::1»]:80", "addr:«fe80::1%eth0» x", "«2001:db8:0:1:2:3:4:5»: gone", "«::ffff:192.0.2.1».", "12:34:56", "std::string", "ab::cd", "a::b::1",
		"00:11:22:33:44:55", "1:2:3:4:5:6:7:8:9", "2001:db8::12345", "::", "::ffff:1.2.3.300", "x::1",
	},
	"mac":  {"«00:1A:2b:3c:4d:5e»", "dev «00-11-22-33-44-55», x", "00:11:22:33:44:55:66", "00:11:22-33:44:55", "a00:11:22:33:44:55", "00:11:22:33:44:5g"},
	"uuid": {"id «123e4567-e89b-12d3-a456-426614174000».", "{«123E4567-E89B-12D3-A456-426614174000»}", "123e4567-e89b-12d3-a456-4266141740001", "x123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-42661417400g"},
	"card": {
		"«4111111111111111»", "«4111 1111 1111 1111»", "«4111-1111-1111-1111», x", "4111111111111112", "«378282246310005»", "«3782 822463 10005»", "«5555555555554444».", "«6011111111111117»",
		"1767322984123", "0.4111111111111111", "4111-1111 1111 1111", "id4111111111111111", "2024 «4111 1111 1111 1111» 2024", "00004111111111111111", "4111111111111111.5", "«30569309025904»", "«3530111333300000»",
	},
	"aws_key":      {"key «AKIAIOSFODNN7EXAMPLE».", "«ASIAIOSFODNN7EXAMPLE»", "AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLEX", "xAKIAIOSFODNN7EXAMPLE", "AKIAiosfodnn7example"},
	"jwt":          {"t=«" + jwtText + "».", "«" + jwtText + "» " + "«" + jwtText + "»", "eyJhbGciOiJIUzI1NiJ9.abc.def", "x" + jwtText, "eyJhbGciOiJIUzI1NiJ9"},
	"bearer":       {"Authorization: Bearer «a.b-c»", `"authorization":"Basic «dXNlcjpwYXNz»"`, "bearer «" + tok + "» x", "the bearer of bad news", "Bearer authenticationfailed", "Authorization: required", "proxy-authorization: token «x»", "authorization=«" + tok + "»", "bearer/" + tok},
	"private_key":  {"a «" + begin("BEGIN RSA ") + `\nMIIE` + begin("END RSA ") + "» b", "x «" + begin("BEGIN ") + "MIIE", "-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----"},
	"url_password": {"postgres://user:«p@ss»@db:5432/x", "http://h/x@y:z@w", "http://user@h", "http://u:@h", "redis://:«pw»@h"},
	"password": {
		"password=«x»", `{"password": "«a \" b»", "x": 1}`, "db_passwd: «hunter2»", "PASSWORD = '«a b»'", `{\"password\":\"«a»\"}`, "Password=«a,b»; x", "url?pwd=«a»&b=1", "{name=x, password=«y»}",
		"Failed password for root", `"password":null`, `password=""`, "password == x", "PWD=/root ; USER=x", "passwordless=x", "pass=x", ":password => «x»", "password:=«x»", "Password::new", "password=«open", `password="«open \"`, "a password", "password=",
	},
	"secret": {"token=«x»", `"access_token" : "«x»"`, "X-Api-Key=«x»", `"client_secret":"«x»"`, "invalid token: expected }", "tokens=5", "aws_secret_access_key = «wJalr/x»", "token:«x»"},
}

func begin(what string) string { return "-----" + what + "PRIVATE KEY-----" }

func TestBuiltInPatterns(t *testing.T) {
	for _, name := range BuiltIn() {
		if len(marked[name]) < 3 {
			t.Errorf("%s: %d examples, want some that match and some that do not", name, len(marked[name]))
		}
		f := newFinder(name, nil)
		for _, m := range marked[name] {
			in := strings.NewReplacer("«", "", "»", "").Replace(m)
			var got strings.Builder
			at := 0
			for _, sp := range f.find([]byte(in), nil) {
				got.WriteString(in[at:sp.start] + "«" + in[sp.start:sp.end])
				if at = sp.end; at < len(in) || strings.HasSuffix(m, "»") {
					got.WriteString("»")
				}
			}
			got.WriteString(in[at:])
			if got.String() != m {
				t.Errorf("%s: got %s, want %s", name, got.String(), m)
			}
			if in != m && !met(f.need, []byte(in)) {
				t.Errorf("%s: %q holds none of %+v", name, in, f.need)
			}
		}
	}
}

// TestLongText gives the patterns what would take minutes if they read a text more than a few times.
func TestLongText(t *testing.T) {
	for _, part := range []string{"a@", "a@b.", ".", "1.", "1.2.3.4.", ":", "::", "a:", "1:2:", "4111 ", "4111", "-", "eyJ", "eyJaaaaaaaaaa.", "AKIA", "password=", "pwd=/",
		`password="`, `token=\"`, "authorization=/", "bearer ", "bearer a", "://", "://a:", begin("BEGIN "), "-----BEGIN ", "-----END ", "00:11:", "password:)"} {
		text := bytes.Repeat([]byte(part), 1<<17/len(part))
		for _, b := range builtIn {
			checkSpans(t, b.name, text, b.find(text, nil))
		}
	}
}

func checkSpans(t *testing.T, name string, text []byte, spans []span) {
	t.Helper()
	last := 0
	for _, sp := range spans {
		if sp.start < last || sp.end <= sp.start || sp.end > len(text) {
			t.Fatalf("%s: span %v behind %d in %d bytes of %q, want them in order and not empty", name, sp, last, len(text), text[:min(len(text), 80)])
		}
		last = sp.end
	}
}

func FuzzPatterns(f *testing.F) {
	for _, all := range marked {
		for _, m := range all {
			f.Add([]byte(m))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, b := range builtIn {
			spans := b.find(text, nil)
			checkSpans(t, b.name, text, spans)
			if len(spans) > 0 && b.texts != "" && !met(needOf(strings.Fields(b.texts)...), text) {
				t.Fatalf("%s matches %q, which holds none of %q", b.name, text, b.texts)
			}
			if again := b.find(text, slices.Clone(spans)); len(again) != 2*len(spans) {
				t.Fatalf("%s: %d spans, then %d", b.name, len(spans), len(again)-len(spans))
			}
		}
	})
}
