package config

// Filter is one step of a rule's filters. All conditions that are given must hold. allow and deny decide and end;
// rewrite, redact and route change and go on.
type Filter struct {
	Action string `koanf:"action" oneof:"allow deny rewrite redact route"`

	Contains string   `koanf:"contains" form:"bytes?"` // fixed text
	Prefix   string   `koanf:"prefix" form:"bytes?"`   // fixed text at the record's beginning
	Match    string   `koanf:"match" form:"regexp?"`
	Not      bool     `koanf:"not"`                      // Contains, Prefix, Match and Field hold when they do not
	Field    string   `koanf:"field"`                    // of a JSON object or of key=value text
	Is       []string `koanf:"is"`                       // values of Field
	UIDs     []UserID `koanf:"uids" form:"id"`           // of the writer
	Units    []string `koanf:"units" form:"wildcard"`    // of the writer: its systemd unit
	Commands []string `koanf:"commands" form:"wildcard"` // of the writer: its program's name
	Paths    []string `koanf:"paths" form:"glob"`        // of the file
	Hosts    []string `koanf:"hosts" form:"wildcard"`    // of the sending machine, on a receiver

	Rewrite string   `koanf:"rewrite" form:"bytes?"` // with Match, for allow and rewrite: $1, ${name}, $0; $$ is $
	Redact  []string `koanf:"redact" form:"name"`    // for redact: names of patterns, own or built in
	With    string   `koanf:"with" form:"bytes?"`    // for redact: what stands in their place
	Targets []string `koanf:"targets" form:"name"`   // allow: goes there instead of the rule's; route: goes there too
}
